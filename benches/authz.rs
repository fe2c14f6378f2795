//! One decision by the shipped policies, entities included; the goal is 15 µs.

use std::sync::Arc;

use divan::{Bencher, black_box};
use fanlight::{
    authz::{self, Action, Policies, Resource, Shadow},
    context::{Caller, Context},
    image::{Image, Status, Visibility},
    protect,
    rules::Ruleset,
    wasm::Plugins,
};
use jiff::Timestamp;

/// Hides one property, so that each property is evaluated.
pub const CONDITION: &str = r#"@id("bench.hidden") forbid (principal, action == Action::"read_property", resource)
    when { resource.name like "licence_*" };"#;

const DENIES: &str = r#"@id("bench.denies") forbid (principal, action == Action::"get_image", resource);"#;

fn policies(more: &str) -> Policies {
    let mut files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
    files.push(("more.cedar".into(), more.into()));
    Policies::load(&files).expect("valid")
}

pub fn context(more: &str) -> Context {
    let rules = Ruleset {
        generation: 1,
        policies: policies(more),
        plugins: Plugins::default(),
        digest: String::new(),
        loaded_at: Timestamp::now(),
    };
    let caller = Caller {
        user_id: "alice".into(),
        project_id: Some("blue".into()),
        project_domain_id: Some("default".into()),
        user_domain_id: Some("default".into()),
        roles: ["member".to_owned(), "reader".to_owned()].into(),
        ..Caller::default()
    };
    Context { request_id: "req-bench".into(), caller, rules: Arc::new(rules), shadow: None, journal: Arc::default() }
}

pub fn image(properties: usize) -> Image {
    Image {
        id: "6b0f3b5e-0000-4000-8000-000000000001".into(),
        name: Some("debian".into()),
        status: Status::Active,
        visibility: Visibility::Private,
        owner: Some("blue".into()),
        protected: false,
        os_hidden: false,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        size: Some(1 << 30),
        virtual_size: None,
        container_format: Some("bare".into()),
        disk_format: Some("qcow2".into()),
        min_disk: 0,
        min_ram: 0,
        tags: ["a".to_owned()].into(),
        properties: (0..properties).map(|i| (format!("property_{i}"), "value".to_owned())).collect(),
        members: Vec::new(),
        locations: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        version: 1,
    }
}

#[divan::bench(args = [0, 10, 100])]
fn check_get_image(bencher: Bencher<'_, '_>, properties: usize) {
    let (ctx, image) = (context(""), image(properties));
    bencher.bench_local(|| authz::check_image(black_box(&ctx), Action::GetImage, black_box(&image)));
}

/// Beside a candidate that answers the same, and one that answers otherwise.
#[divan::bench(args = ["", DENIES])]
fn check_get_image_beside_a_candidate(bencher: Bencher<'_, '_>, more: &str) {
    let shadow = Shadow::new(policies(more));
    let (ctx, image) = (Context { shadow: Some(Arc::new(shadow)), ..context("") }, image(10));
    bencher.bench_local(|| authz::check_image(black_box(&ctx), Action::GetImage, black_box(&image)));
}

#[divan::bench]
fn check_get_images(bencher: Bencher<'_, '_>) {
    let ctx = context("");
    bencher.bench_local(|| authz::check(black_box(&ctx), Action::GetImages, Resource::Service));
}

#[divan::bench(args = [10, 100])]
fn visible_as_shipped(bencher: Bencher<'_, '_>, properties: usize) {
    let (ctx, image) = (context(""), image(properties));
    bencher.with_inputs(|| image.clone()).bench_local_values(|image| protect::visible(black_box(&ctx), image));
}

#[divan::bench(args = [10, 100])]
fn visible_with_a_condition(bencher: Bencher<'_, '_>, properties: usize) {
    let (ctx, image) = (context(CONDITION), image(properties));
    bencher.with_inputs(|| image.clone()).bench_local_values(|image| protect::visible(black_box(&ctx), image));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn load_shipped(bencher: Bencher<'_, '_>) {
    let files: Vec<_> = Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect();
    bencher.bench_local(|| Policies::load(black_box(&files)).is_ok());
}
