//! `health`: asks the services of this machine or container whether they are well.
//!
//! It runs every few seconds beside a service, so it starts no thread, no runtime and no HTTP client.

mod ask;
mod words;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::cli::{HealthArgs, ServiceName};
use crate::report::Failure;
use crate::session::Session;

use ask::Answer;

/// One service and where it is asked.
#[derive(Debug, Clone, Copy)]
struct Service {
    name: &'static str,
    address: SocketAddr,
}

pub(super) fn run(session: &Session, args: &HealthArgs) -> Result<(), Failure> {
    if args.timeout.is_zero() {
        return Err(Failure::usage("`--timeout` is 0, in which nothing can answer", "it takes a time such as `3s`"));
    }
    let services = services(session, args)?;
    let path = if args.live { "/livez" } else { "/readyz" };
    let (mut answered, mut is_well) = (false, true);
    for service in &services {
        let answer = ask::ask(service.address, path, args.timeout);
        // Of two that may run here, one that is not there is no fault.
        if services.len() > 1 && answer.as_ref().is_err_and(is_nothing_there) {
            continue;
        }
        answered = true;
        is_well &= answer.as_ref().is_ok_and(Answer::is_well);
        let said = match &answer {
            Ok(answer) => words::of_answer(answer),
            Err(error) => words::of_error(error),
        };
        session.printer.data(format_args!("{} at {}: {said}", service.name, service.address));
    }
    match (answered, is_well) {
        (true, true) => Ok(()),
        (true, false) => Err(Failure::said(crate::report::REFUSED)),
        (false, _) => Err(nothing_answers(&services)),
    }
}

/// Whom to ask. Port 0 stands for a free one, which nobody can guess.
fn services(session: &Session, args: &HealthArgs) -> Result<Vec<Service>, Failure> {
    let worker = ("worker", *session.config.worker.listen);
    let server = ("cache server", *session.config.server.listen);
    let asked = match (args.service, args.listen) {
        (None, Some(address)) => vec![("service", address)],
        (Some(ServiceName::Worker), address) => vec![("worker", address.unwrap_or(worker.1))],
        (Some(ServiceName::Serve), address) => vec![("cache server", address.unwrap_or(server.1))],
        (None, None) => vec![worker, server],
    };
    asked
        .into_iter()
        .map(|(name, address)| match address.port() {
            0 => Err(Failure::usage(
                format!("the {name}'s address is `{address}`, and port 0 is a free one that only the service knows"),
                "name the address that the service printed with `--listen`",
            )),
            _ => Ok(Service { name, address: reachable(address) }),
        })
        .collect()
}

/// A service that listens on every address is asked by the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn is_nothing_there(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn nothing_answers(services: &[Service]) -> Failure {
    let places: Vec<String> = services.iter().map(|at| format!("`{}` ({})", at.address, at.name)).collect();
    Failure::refused(
        format!("nothing listens on {}", places.join(" or ")),
        "start a service, or name its address with `--listen`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_by_the_loopback() {
        #[track_caller]
        fn check(listen: &str, asked: &str) {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), asked);
        }
        check("0.0.0.0:8000", "127.0.0.1:8000");
        check("[::]:8000", "[::1]:8000");
        check("10.1.2.3:8000", "10.1.2.3:8000");
    }
}
