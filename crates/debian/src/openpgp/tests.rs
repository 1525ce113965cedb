use super::*;

#[test]
fn real() {
    let now = "2026-11-24T00:00:00Z".parse().unwrap();
    let t = std::time::Instant::now();
    let ring = Keyring::debian();
    println!("parse {:?}", t.elapsed());
    for e in std::fs::read_dir("/tmp/deb-real").unwrap() {
        let p = e.unwrap().path();
        if !p.display().to_string().contains("InRelease") { continue }
        let b = std::fs::read(&p).unwrap();
        let t = std::time::Instant::now();
        let r = ring.verify(&b, now);
        println!("{} {:?} {:?}", p.display(), t.elapsed(), r.map(|r| r.signer().to_string()));
        let armor::Cleartext { text, signature } = armor::cleartext(&b).unwrap();
        for packet in packets(&signature).unwrap() {
            let s = Signature::parse(packet.body).unwrap();
            for (n, t) in [("crlf", text.replace('\n', "\r\n")), ("lf", text.clone()), ("lf+", format!("{text}\n")), ("crlf+", text.replace('\n', "\r\n") + "\r\n")] {
                println!("   {} kind {} {n} {:?}", s.issuer_name(), s.kind, ring.signer(&s, t.as_bytes(), now.as_second()));
            }
        }
    }
}
