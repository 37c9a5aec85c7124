//! A first program: a typed actor with a state of its own gets new code while it works.

use std::error::Error;
use std::time::Duration;

use myrmidon::Runtime;
use myrmidon::actor::{Actor, Context, Flow};

struct Greeter {
    greeted: u32,
}

impl Actor for Greeter {
    type Msg = String;

    fn handle(&mut self, name: String, _: &mut Context<'_>) -> Flow {
        self.greeted += 1;
        println!("hello, {name}: you are number {}", self.greeted);
        Flow::Continue
    }
}

struct Parting;

impl Actor for Parting {
    type Msg = String;

    fn handle(&mut self, name: String, _: &mut Context<'_>) -> Flow {
        println!("goodbye, {name}");
        Flow::Continue
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let rt = Runtime::new()?;
    let greeter = rt.spawn(Greeter { greeted: 0 });
    greeter.send("Ada".to_owned())?;
    greeter.send("Grace".to_owned())?;
    greeter.hot_swap(Parting)?; // takes its place behind the messages sent before it
    greeter.send("Grace".to_owned())?;
    rt.stop(greeter.pid());
    rt.join(greeter.pid(), Some(Duration::from_secs(5)))?;
    Ok(())
}
