// What every version does: `serve` until standard input ends, or call the server at a path.
pub fn main(argument: &str) {
    match argument {
        "serve" => {
            let uds = Uds::new().unwrap();
            let share = uds.spawn_share::<dyn Abacus, ()>(0, || Ok(Box::new(Frame)), |_, _| Ok(())).unwrap();
            println!("{}\n{}", share.path().display(), share.token().to_hex());
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
            share.join().unwrap();
        }
        path => {
            let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse().unwrap();
            match abacus_rpc::AbacusClient::connect(path, &token) {
                Ok(abacus) => println!("{}", abacus.slide("units", 2).unwrap()),
                Err(error) => println!("{error}"),
            }
        }
    }
}
