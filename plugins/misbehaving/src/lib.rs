//! A guest that does what it must not, for the tests of the host. Never shipped.
//!
//! Settings: `behave` names what it does in `rank`; `only-project` keeps it well-behaved for all other projects.

wit_bindgen::generate!({ path: "../../wit", world: "placement" });

struct Misbehaving;

impl Guest for Misbehaving {
    fn describe() -> Description {
        Description { name: "misbehaving".into(), version: env!("CARGO_PKG_VERSION").into(), summary: String::new() }
    }

    fn validate_settings(settings: Settings) -> Result<(), String> {
        match lookup(&settings, "behave") {
            Some("bad-settings") => Err("`behave` is `bad-settings`".into()),
            _ => Ok(()),
        }
    }

    fn rank(request: Request, settings: Settings) -> Result<Vec<Verdict>, String> {
        std::panic::set_hook(Box::new(|info| log(&info.to_string())));
        let project = request.image.project.as_deref().unwrap_or("");
        let mut answer: Vec<Verdict> = (0..request.stores.len() as u32).map(verdict).collect();
        if lookup(&settings, "only-project").is_some_and(|only| only != project) {
            return Ok(answer);
        }
        match lookup(&settings, "behave").unwrap_or("well") {
            "loop" => spin(),
            "recurse" => drop(recurse(request.now_ms)),
            "memory" => grow(),
            "panic" => panic!("no store is good enough"),
            "refuse" => return Err("no mood".into()),
            "large-output" => answer.iter_mut().for_each(|v| v.text = "x".repeat(200 << 10)),
            "huge-output" => answer.iter_mut().for_each(|v| v.text = "x".repeat(6 << 20)),
            "unknown-store" => answer.push(verdict(request.stores.len() as u32)),
            "twice" => answer.push(verdict(0)),
            "score" => answer.iter_mut().for_each(|v| v.score = 1001),
            "silent" => answer.clear(),
            "none" => answer.iter_mut().for_each(|v| v.accepted = false),
            "spoof" => answer.iter_mut().for_each(|v| {
                v.accepted = false;
                v.code = "not-permitted".into();
                v.text = "first\nsecond".repeat(100);
            }),
            "log-flood" => (0..1000).for_each(|n| log(&format!("line {n}\r\n{}", "y".repeat(10_000)))),
            _ => {}
        }
        Ok(answer)
    }
}

fn verdict(store: u32) -> Verdict {
    Verdict { store, accepted: true, score: 500, code: "well".into(), text: String::new() }
}

fn spin() {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

fn recurse(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    if n == u64::MAX {
        return 0;
    }
    frame[0].wrapping_add(recurse(std::hint::black_box(n + 1))).wrapping_add(frame[63])
}

fn grow() {
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    loop {
        blocks.push(Vec::with_capacity(std::hint::black_box(1 << 20)));
        std::hint::black_box(&mut blocks);
    }
}

fn lookup<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

export!(Misbehaving);
