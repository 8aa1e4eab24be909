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
    #[automatically_derived]
    impl<__I: ::mikobase::rpc::Interface + Counter + ?::core::marker::Sized> Counter
    for ::mikobase::rpc::Client<__I> {
        fn add(&self, name: &str, by: i64) -> Result<i64> {
            fn __call(
                __client: &::mikobase::rpc::UntypedClient,
                name: &str,
                by: i64,
            ) -> Result<i64> {
                ::mikobase::rpc::call(
                    __client,
                    &counter_rpc::COUNTER_SURFACE.methods[0usize],
                    (
                        ::mikobase::rpc::bounded_ref(name),
                        (&::mikobase::rpc::bounded(by), ()),
                    ),
                )
            }
            __call(::mikobase::rpc::untyped(self), name, by)
        }
        fn get(&self, name: &str) -> Result<Option<i64>> {
            fn __call(
                __client: &::mikobase::rpc::UntypedClient,
                name: &str,
            ) -> Result<Option<i64>> {
                ::mikobase::rpc::call(
                    __client,
                    &counter_rpc::COUNTER_SURFACE.methods[1usize],
                    (::mikobase::rpc::bounded_ref(name), ()),
                )
            }
            __call(::mikobase::rpc::untyped(self), name)
        }
    }
    #[automatically_derived]
    impl<__I> Counter for ::mikobase::rpc::Remote<__I>
    where
        __I: ::mikobase::rpc::Interface + Counter + ::core::marker::Send
            + ::core::marker::Sync + ?::core::marker::Sized,
    {
        fn add(&self, name: &str, by: i64) -> Result<i64> {
            Counter::add(&**self, name, by)
        }
        fn get(&self, name: &str) -> Result<Option<i64>> {
            Counter::get(&**self, name)
        }
    }
    #[automatically_derived]
    impl ::mikobase::rpc::Interface for dyn Counter {
        const NAMES: &'static ::mikobase::rpc::MethodNames = &::mikobase::rpc::MethodNames {
            interface: ::core::concat!(::core::module_path!(), "::", "Counter"),
            own: &["add", "get"],
            supertraits: &[],
        };
        fn own_surface() -> &'static ::mikobase::rpc::Surface {
            counter_rpc::COUNTER_SURFACE
        }
        fn serve(
            &self,
            call: ::mikobase::rpc::Call<'_>,
        ) -> ::mikobase::rpc::Result<::mikobase::rpc::Served> {
            match call.method() {
                "add" => {
                    call.run(
                        &counter_rpc::COUNTER_SURFACE.methods[0usize],
                        |(name, (by, ())): (::std::string::String, (i64, ()))| Counter::add(
                            self,
                            &name,
                            by,
                        ),
                    )
                }
                "get" => {
                    call.run(
                        &counter_rpc::COUNTER_SURFACE.methods[1usize],
                        |(name, ()): (::std::string::String, ())| Counter::get(
                            self,
                            &name,
                        ),
                    )
                }
                _ => {
                    call.unknown(
                        <dyn Counter as ::mikobase::rpc::Interface>::own_surface(),
                    )
                }
            }
        }
        fn of_client(
            client: &::mikobase::rpc::Client<dyn Counter>,
        ) -> &(dyn Counter + 'static) {
            client
        }
    }
    const _: ::core::option::Option<
        (&counter_rpc::CounterClient, &counter_rpc::CounterAsyncClient),
    > = ::core::option::Option::None;
};
///The generated proxies, server and surface of [`Counter`].
pub mod counter_rpc {
    ///The surface of [`Counter`](super::Counter).
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
        errors: ::std::borrow::Cow::Borrowed(::mikobase::rpc::ERROR_MEANINGS),
        schemas: ::core::option::Option::None,
        objects: ::std::borrow::Cow::Borrowed(&[]),
    };
    const _: &[u8] = ::core::include_bytes!(
        ::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), "/",
        "schema/counter.surface.json")
    );
    const _: ::core::option::Option<&str> = ::core::option_env!("MIKOBASE_RECORD");
    ///A proxy that implements [`Counter`](super::Counter) by sending each call to a server.
    pub type CounterClient = ::mikobase::rpc::Client<dyn super::Counter>;
    ::mikobase::rpc::tarpc_server! {
        #[doc =
        "Serves any [`Counter`](super::Counter) on a tarpc channel, one call at a time."]
        pub type CounterServer = dyn super::Counter;
    }
    ///A proxy for callers with a runtime. [`CounterAsync`] has its methods. Its clones share one connection.
    pub type CounterAsyncClient = ::mikobase::rpc::AsyncClient<dyn super::Counter>;
    pub use self::asynchronous::CounterAsync;
    mod asynchronous {
        use super::super::*;
        ///The async methods of [`Counter`](super::super::Counter). The futures that they return borrow nothing.
        pub trait CounterAsync {
            ///Adds `by` to the counter called `name`, and gives its new value.
            fn add(
                &self,
                name: &str,
                by: i64,
            ) -> ::mikobase::rpc::PendingCall<Result<i64>>;
            ///The value of the counter called `name`.
            fn get(
                &self,
                name: &str,
            ) -> ::mikobase::rpc::PendingCall<Result<Option<i64>>>;
        }
        #[automatically_derived]
        impl<
            __I: ::mikobase::rpc::Interface + super::super::Counter
                + ?::core::marker::Sized,
        > CounterAsync for ::mikobase::rpc::AsyncClient<__I> {
            fn add(
                &self,
                name: &str,
                by: i64,
            ) -> ::mikobase::rpc::PendingCall<Result<i64>> {
                ::mikobase::rpc::call_async(
                    self,
                    &super::COUNTER_SURFACE.methods[0usize],
                    (
                        ::mikobase::rpc::bounded_ref(name),
                        (&::mikobase::rpc::bounded(by), ()),
                    ),
                )
            }
            fn get(
                &self,
                name: &str,
            ) -> ::mikobase::rpc::PendingCall<Result<Option<i64>>> {
                ::mikobase::rpc::call_async(
                    self,
                    &super::COUNTER_SURFACE.methods[1usize],
                    (::mikobase::rpc::bounded_ref(name), ()),
                )
            }
        }
    }
}
