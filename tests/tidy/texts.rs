//! What is looked for in texts of any kind: ports, and places that only one machine has.

use std::collections::BTreeSet;

/// The ports in a text's `127.0.0.1:…` and `localhost:…`.
pub fn ports(text: &str) -> BTreeSet<String> {
    let hosts = ["127.0.0.1:", "localhost:"];
    let found = hosts.iter().flat_map(|host| text.split(host).skip(1));
    found.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect()).filter(|port: &String| !port.is_empty()).collect()
}

/// The places that a text must not name: somebody's home, and hosts of package registries.
pub fn places(text: &str) -> Vec<String> {
    let homes = ["root/", "home/", "Users/", "work/wt"].map(|home| format!("/{home}"));
    let hosts =
        [("index.", "crates.io"), ("static.", "crates.io"), ("py", "pi.org"), ("registry.", "npmjs"), ("deb.", "debian.org")];
    let all = homes.into_iter().chain(hosts.map(|(start, end)| format!("{start}{end}")));
    all.filter(|place| text.contains(place.as_str())).collect()
}

#[test]
fn ports_are_read_from_texts() {
    let ports = ports("ws://127.0.0.1:8080/ws, http://localhost:9090/metrics and 127.0.0.1:x");
    assert_eq!(ports, ["8080", "9090"].map(String::from).into());
}

#[test]
fn places_are_found_in_texts() {
    let planted = format!("cd {}{}ann && curl https://{}{}", "/ho", "me/", "index.", "crates.io");
    assert_eq!(places(&planted).len(), 2);
}
