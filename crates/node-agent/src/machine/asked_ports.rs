//! Which ports of the host a container asks for: the first numbers of `ports` in a compose file (design note 0026). Wishes,
//! not claims: the rule for ports of tasks with addresses of their own has the last word (design note 0025).

use outport_task_network::{PortMapping, TransportProtocol};

/// A Docker label, which says nothing on AWS: `HOST:CONTAINER[/udp]`, with spaces between.
const LABEL: &str = "outport.publish";
/// As many port mappings a task definition has at most.
const PORTS_MAX: usize = 100;

/// What the labels of a container ask for. What is no such word is left out.
pub fn of(labels: &[(String, String)]) -> Vec<PortMapping> {
    let asked = labels.iter().filter(|(label, _)| label == LABEL);
    let words = asked.flat_map(|(_, words)| words.split_ascii_whitespace());
    words.take(PORTS_MAX).filter_map(port).collect()
}

fn port(word: &str) -> Option<PortMapping> {
    let (ports, protocol) = match word.strip_suffix("/udp") {
        Some(ports) => (ports, TransportProtocol::Udp),
        None => (word, TransportProtocol::Tcp),
    };
    let (host_port, container_port) = ports.split_once(':')?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
    let (host_port, container_port) = (number(host_port)?, number(container_port)?);
    Some(PortMapping { protocol, host_port, container_port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &[(TransportProtocol, u16, u16)]) {
        let labels = [("a".into(), "1:2".into()), (LABEL.to_owned(), value.to_owned())];
        let found: Vec<_> = of(&labels)
            .into_iter()
            .map(|port| (port.protocol, port.host_port, port.container_port))
            .collect();
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn words_of_the_label_are_ports_and_nothing_else() {
        use TransportProtocol::{Tcp, Udp};
        check("8080:80  53:5353/udp", &[(Tcp, 8080, 80), (Udp, 53, 5353)]);
        check("", &[]);
        check("80 :80 80: 0:80 80:0 65536:80 80:80/sctp -1:2 1:2:3 7:8", &[(Tcp, 7, 8)]);
        check(&"1:2 ".repeat(1000), &[(Tcp, 1, 2); PORTS_MAX]);
        assert!(of(&[]).is_empty());
    }
}
