//! The secret that authorizes a process to connect.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use miko_rpc::{Error, ErrorId, Result};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// A random 256-bit secret. A process that has this token and runs as the user of the server may connect to
/// its socket. Over HTTP by TCP the token alone is enough.
///
/// `Debug` does not print the secret. [`to_hex`](Self::to_hex) returns it as text, which can be passed to
/// another process.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token([u8; 32]);

impl Token {
    /// Generates a token from the random source of the operating system.
    ///
    /// # Errors
    /// `internal`, if the random source fails.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no randomness for a token", fault))?;
        Ok(Self(bytes))
    }

    /// The token as 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Whether the tokens are equal, compared in constant time.
    pub fn matches(&self, other: &Token) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for Token {
    type Err = Error;

    /// Reads the 64 hexadecimal digits of [`to_hex`](Token::to_hex), in lower or upper case.
    ///
    /// # Errors
    /// `unauthorized`, if the text is anything else.
    fn from_str(hex: &str) -> Result<Self> {
        let malformed = || Error::new(ErrorId::UNAUTHORIZED, "a token is written as 64 hexadecimal digits");
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| malformed())?;
        bytes.try_into().map(Self).map_err(|_| malformed())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_round_trips_through_hex_and_is_hidden_in_debug_output() {
        let token = Token::random().unwrap();
        assert!(token.to_hex().parse::<Token>().unwrap().matches(&token));
        assert!(!Token::random().unwrap().matches(&token));
        assert_eq!(format!("{token:?}"), "Token(secret)");
    }

    #[test]
    fn a_malformed_token_is_refused() {
        for hex in ["", "00", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert!(hex.parse::<Token>().is_err(), "{hex}");
        }
    }
}
