//! Who may call.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::Token;

/// What a server asks of its callers.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Auth {
    /// The kernel must say that the process at the other end of a Unix socket runs as the user of the server.
    /// By TCP no one may call.
    #[default]
    Peer,
    /// Requests carry this token: `Authorization: Bearer …`.
    Token(Token),
    /// Anyone who reaches the socket may call.
    Open,
}

impl Auth {
    /// Checks a request. A missing token and a wrong one are refused alike.
    ///
    /// # Errors
    /// `unauthorized`.
    pub(crate) fn check(&self, is_own_user: bool, headers: &HeaderMap) -> Result<()> {
        let refused = |message: &str| Err(Error::new(ErrorId::UNAUTHORIZED, message));
        match self {
            Self::Open => Ok(()),
            Self::Peer if is_own_user => Ok(()),
            Self::Peer => refused("the server takes requests of its own user only"),
            Self::Token(token) if bearer(headers).is_some_and(|sent| sent.matches(token)) => Ok(()),
            Self::Token(_) => refused("the request does not carry the token of the server"),
        }
    }
}

/// The token of the request. Two of them are none.
fn bearer(headers: &HeaderMap) -> Option<Token> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") { token.trim().parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_the_one_right_token_is_let_in() {
        let token = Token::random().unwrap();
        let (right, wrong) = (token.to_hex(), Token::random().unwrap().to_hex());
        let auth = Auth::Token(token);
        for (values, is_allowed) in [
            (vec![], false),
            (vec![format!("Bearer {right}")], true),
            (vec![format!("bearer  {right}")], true),
            (vec![format!("Bearer {wrong}")], false),
            (vec![format!("Basic {right}")], false),
            (vec![right.clone()], false),
            (vec!["Bearer ".to_owned()], false),
            (vec![format!("Bearer {wrong}"), format!("Bearer {right}")], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            // The user does not matter.
            for is_own_user in [true, false] {
                assert_eq!(auth.check(is_own_user, &headers).is_ok(), is_allowed, "{values:?}");
            }
        }
    }

    #[test]
    fn without_a_token_the_user_is_compared_or_nothing() {
        let none = HeaderMap::new();
        assert!(Auth::Peer.check(true, &none).is_ok());
        assert!(Auth::Peer.check(false, &none).unwrap_err().is(ErrorId::UNAUTHORIZED));
        assert!(Auth::Open.check(false, &none).is_ok());
    }
}
