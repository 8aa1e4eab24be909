/// Counts.
pub trait Counter {
    /// Adds `by` to the counter called `name`, and gives its new value.
    fn add(&self, name: &str, by: i64) -> Result<i64>;
    /// The value of the counter called `name`.
    fn get(&self, name: &str) -> Result<Option<i64>>;
    /// Adds one.
    fn increment(&self, name: &str) -> Result<i64> {
        self.add(name, 1)
    }
}
///The generated proxies, server and dispatch of [`Counter`].
#[allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    deprecated,
    private_interfaces,
    unreachable_patterns,
    unreachable_pub,
    unused_imports,
)]
pub mod counter_rpc {
    use super::*;
    const _: () = {
        {
            fn result_of_add<R: ::mikobase::rpc::Fallible>()
            where
                R::Value: ::mikobase::rpc::Wire,
                R::Error: ::mikobase::rpc::Wire,
            {}
            let _ = result_of_add::<Result<i64>>;
            fn argument_name_of_add<T: ::mikobase::rpc::Wire>() {}
            let _ = argument_name_of_add::<::std::string::String>;
            fn argument_by_of_add<T: ::mikobase::rpc::Wire>() {}
            let _ = argument_by_of_add::<i64>;
        }
        {
            fn result_of_get<R: ::mikobase::rpc::Fallible>()
            where
                R::Value: ::mikobase::rpc::Wire,
                R::Error: ::mikobase::rpc::Wire,
            {}
            let _ = result_of_get::<Result<Option<i64>>>;
            fn argument_name_of_get<T: ::mikobase::rpc::Wire>() {}
            let _ = argument_name_of_get::<::std::string::String>;
        }
    };
    ///One call of [`Counter`].
    #[derive(::mikobase::rpc::serde::Serialize, ::mikobase::rpc::serde::Deserialize)]
    #[serde(crate = "::mikobase::rpc::serde")]
    pub enum CounterRequest {
        ///A call of `add`.
        #[serde(rename = "add")]
        Add {
            ///The argument `name`.
            #[serde(with = "::mikobase::rpc::travel::argument")]
            name: ::std::string::String,
            ///The argument `by`.
            #[serde(with = "::mikobase::rpc::travel::argument")]
            by: i64,
        },
        ///A call of `get`.
        #[serde(rename = "get")]
        Get {
            ///The argument `name`.
            #[serde(with = "::mikobase::rpc::travel::argument")]
            name: ::std::string::String,
        },
    }
    impl ::mikobase::rpc::tarpc::RequestName for CounterRequest {
        fn name(&self) -> &str {
            match self {
                CounterRequest::Add { .. } => "add",
                CounterRequest::Get { .. } => "get",
            }
        }
    }
    ///The result of one call of [`Counter`].
    #[derive(::mikobase::rpc::serde::Serialize, ::mikobase::rpc::serde::Deserialize)]
    #[serde(crate = "::mikobase::rpc::serde")]
    pub enum CounterResponse {
        ///The result of `add`.
        #[serde(rename = "add")]
        Add(#[serde(with = "::mikobase::rpc::travel::result")] Result<i64>),
        ///The result of `get`.
        #[serde(rename = "get")]
        Get(#[serde(with = "::mikobase::rpc::travel::result")] Result<Option<i64>>),
    }
    ///The surface of [`Counter`].
    pub const COUNTER_SURFACE: &::mikobase::rpc::Surface = &::mikobase::rpc::Surface {
        interface: ::std::borrow::Cow::Borrowed("Counter"),
        version: ::std::borrow::Cow::Borrowed(::core::env!("CARGO_PKG_VERSION")),
        methods: ::std::borrow::Cow::Borrowed(
            &[
                ::mikobase::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("add"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            ::mikobase::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("name"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                            ::mikobase::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("by"),
                                ty: ::std::borrow::Cow::Borrowed("i64"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<i64>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "Adds `by` to the counter called `name`, and gives its new value.",
                    ),
                    read: ::core::option::Option::None,
                    idempotent: false,
                    deadline_ms: ::core::option::Option::Some(5000u64),
                },
                ::mikobase::rpc::Method {
                    name: ::std::borrow::Cow::Borrowed("get"),
                    params: ::std::borrow::Cow::Borrowed(
                        &[
                            ::mikobase::rpc::Param {
                                name: ::std::borrow::Cow::Borrowed("name"),
                                ty: ::std::borrow::Cow::Borrowed("&str"),
                            },
                        ],
                    ),
                    returns: ::std::borrow::Cow::Borrowed("Result<Option<i64>>"),
                    doc: ::std::borrow::Cow::Borrowed(
                        "The value of the counter called `name`.",
                    ),
                    read: ::core::option::Option::Some(true),
                    idempotent: false,
                    deadline_ms: ::core::option::Option::None,
                },
            ],
        ),
    };
    const _: &[u8] = ::core::include_bytes!(
        ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/",
        "schema/counter.surface.json")
    );
    const _: ::core::option::Option<&str> = ::core::option_env!("MIKOBASE_RECORD");
    ///A proxy that implements [`Counter`] by sending each call to a server.
    pub struct CounterClient {
        transport: ::std::boxed::Box<dyn ::mikobase::rpc::Transport<dyn Counter>>,
    }
    impl ::mikobase::rpc::Proxy for CounterClient {
        type Interface = dyn Counter;
        fn new(
            transport: ::std::boxed::Box<dyn ::mikobase::rpc::Transport<dyn Counter>>,
        ) -> Self {
            Self { transport }
        }
        fn as_interface(&self) -> &(dyn Counter + 'static) {
            self
        }
    }
    impl ::core::fmt::Debug for CounterClient {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_struct(::core::stringify!(CounterClient)).finish_non_exhaustive()
        }
    }
    impl Counter for CounterClient {
        fn add(&self, name: &str, by: i64) -> Result<i64> {
            let request = CounterRequest::Add {
                name: ::std::borrow::ToOwned::to_owned(name),
                by: ::mikobase::rpc::travel::argument::bounded(by),
            };
            let result = ::mikobase::rpc::Transport::call(
                &*self.transport,
                &COUNTER_SURFACE.methods[0usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(CounterResponse::Add(returned)) => returned,
                ::core::result::Result::Ok(_) => {
                    ::mikobase::rpc::Fallible::failed(
                        ::mikobase::rpc::wrong_response("add"),
                    )
                }
                ::core::result::Result::Err(error) => {
                    ::mikobase::rpc::Fallible::failed(error)
                }
            }
        }
        fn get(&self, name: &str) -> Result<Option<i64>> {
            let request = CounterRequest::Get {
                name: ::std::borrow::ToOwned::to_owned(name),
            };
            let result = ::mikobase::rpc::Transport::call(
                &*self.transport,
                &COUNTER_SURFACE.methods[1usize],
                request,
            );
            match result {
                ::core::result::Result::Ok(CounterResponse::Get(returned)) => returned,
                ::core::result::Result::Ok(_) => {
                    ::mikobase::rpc::Fallible::failed(
                        ::mikobase::rpc::wrong_response("get"),
                    )
                }
                ::core::result::Result::Err(error) => {
                    ::mikobase::rpc::Fallible::failed(error)
                }
            }
        }
    }
    ///A proxy for callers with a runtime: the methods of [`Counter`], async. Its clones share one connection, and what its methods return borrows nothing.
    #[derive(::core::clone::Clone)]
    pub struct CounterAsyncClient {
        transport: ::std::sync::Arc<dyn ::mikobase::rpc::AsyncTransport<dyn Counter>>,
    }
    impl ::mikobase::rpc::AsyncProxy for CounterAsyncClient {
        type Interface = dyn Counter;
        fn new(
            transport: ::std::sync::Arc<dyn ::mikobase::rpc::AsyncTransport<dyn Counter>>,
        ) -> Self {
            Self { transport }
        }
    }
    impl ::core::fmt::Debug for CounterAsyncClient {
        fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
            f.debug_struct(::core::stringify!(CounterAsyncClient))
                .finish_non_exhaustive()
        }
    }
    impl CounterAsyncClient {
        ///Adds `by` to the counter called `name`, and gives its new value.
        pub fn add(
            &self,
            name: &str,
            by: i64,
        ) -> impl ::core::future::Future<
            Output = Result<i64>,
        > + ::core::marker::Send + use<> {
            let request = CounterRequest::Add {
                name: ::std::borrow::ToOwned::to_owned(name),
                by: ::mikobase::rpc::travel::argument::bounded(by),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = ::mikobase::rpc::AsyncTransport::call(
                        &*transport,
                        &COUNTER_SURFACE.methods[0usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(CounterResponse::Add(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        ::mikobase::rpc::Fallible::failed(
                            ::mikobase::rpc::wrong_response("add"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        ::mikobase::rpc::Fallible::failed(error)
                    }
                }
            }
        }
        ///The value of the counter called `name`.
        pub fn get(
            &self,
            name: &str,
        ) -> impl ::core::future::Future<
            Output = Result<Option<i64>>,
        > + ::core::marker::Send + use<> {
            let request = CounterRequest::Get {
                name: ::std::borrow::ToOwned::to_owned(name),
            };
            let transport = ::std::sync::Arc::clone(&self.transport);
            async move {
                let result = ::mikobase::rpc::AsyncTransport::call(
                        &*transport,
                        &COUNTER_SURFACE.methods[1usize],
                        request,
                    )
                    .await;
                match result {
                    ::core::result::Result::Ok(CounterResponse::Get(returned)) => {
                        returned
                    }
                    ::core::result::Result::Ok(_) => {
                        ::mikobase::rpc::Fallible::failed(
                            ::mikobase::rpc::wrong_response("get"),
                        )
                    }
                    ::core::result::Result::Err(error) => {
                        ::mikobase::rpc::Fallible::failed(error)
                    }
                }
            }
        }
    }
    impl ::mikobase::rpc::Interface for dyn Counter {
        type Request = CounterRequest;
        type Response = CounterResponse;
        type Client = CounterClient;
        type AsyncClient = CounterAsyncClient;
        fn surface() -> &'static ::mikobase::rpc::Surface {
            COUNTER_SURFACE
        }
        fn serve(&self, request: CounterRequest) -> CounterResponse {
            match request {
                CounterRequest::Add { name, by } => {
                    CounterResponse::Add(
                        ::mikobase::rpc::guard("add", || Counter::add(self, &name, by)),
                    )
                }
                CounterRequest::Get { name } => {
                    CounterResponse::Get(
                        ::mikobase::rpc::guard("get", || Counter::get(self, &name)),
                    )
                }
            }
        }
        fn dispatch(
            &self,
            method: &str,
            params: ::mikobase::rpc::serde_json::Value,
        ) -> ::core::result::Result<
            ::std::boxed::Box<::mikobase::rpc::serde_json::value::RawValue>,
            ::mikobase::rpc::DispatchError,
        > {
            match method {
                "add" => {
                    let mut params = ::mikobase::rpc::Params::new(
                        &COUNTER_SURFACE.methods[0usize],
                        params,
                    );
                    let name = params.take::<::std::string::String>(0usize);
                    let by = params.take::<i64>(1usize);
                    params.finish()?;
                    let (
                        ::core::option::Option::Some(name),
                        ::core::option::Option::Some(by),
                    ) = (name, by) else {
                        return ::core::result::Result::Err(
                            ::mikobase::rpc::unknown_method(COUNTER_SURFACE, method),
                        );
                    };
                    ::mikobase::rpc::render(
                        ::mikobase::rpc::guard("add", || Counter::add(self, &name, by)),
                    )
                }
                "get" => {
                    let mut params = ::mikobase::rpc::Params::new(
                        &COUNTER_SURFACE.methods[1usize],
                        params,
                    );
                    let name = params.take::<::std::string::String>(0usize);
                    params.finish()?;
                    let (::core::option::Option::Some(name),) = (name,) else {
                        return ::core::result::Result::Err(
                            ::mikobase::rpc::unknown_method(COUNTER_SURFACE, method),
                        );
                    };
                    ::mikobase::rpc::render(
                        ::mikobase::rpc::guard("get", || Counter::get(self, &name)),
                    )
                }
                unknown => {
                    ::core::result::Result::Err(
                        ::mikobase::rpc::unknown_method(COUNTER_SURFACE, unknown),
                    )
                }
            }
        }
    }
    ///Serves any [`Counter`] on a tarpc channel, one call at a time.
    pub type CounterServer = ::mikobase::rpc::TarpcServer<dyn Counter>;
}
