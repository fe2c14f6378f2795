//! Every action, asked by everybody, of images in every interesting state. The table is compared byte for byte, so a
//! change of a shipped policy shows in review as the cells that it changes. `UPDATE_GOLDEN=1` writes it anew.

use std::{fmt::Write, sync::Arc};

use fanlight::{
    Kind,
    authz::{self, Action, NamespaceFacts, Policies, Resource, StoreFacts},
    context::{Caller, Context},
    image::{Image, Member, MemberStatus, Status, Visibility},
    rules::Ruleset,
    wasm::Plugins,
};
use jiff::Timestamp;

use super::golden;

const HEAD: &str = "\
What the shipped policies say. Rewritten by `UPDATE_GOLDEN=1 cargo test golden_matrix`; read the difference.

  +  permitted    x  denied (403)    .  denied and hidden (404)

Images belong to project `blue` and are shared with `accepted`, `pending` and `rejected`, each with that answer.

  nobody    no token                             owner     member of blue          o-reader  reader of blue
  other     member of green                      o+svc     owner, service token    svc       role service only
  accepted, pending, rejected  members of those projects; acc-read  reader of `accepted`
  manager   manager, member, reader of blue      admin     admin, and what it implies, of ops
  unscoped, domain, system  all these roles and service without a project: in no scope, in the domain, in the system

";

fn callers() -> Vec<(&'static str, Caller)> {
    let of = |project: Option<&str>, roles: &[&str]| Caller {
        user_id: "user".into(),
        project_id: project.map(str::to_owned),
        project_domain_id: project.map(|_| "default".to_owned()),
        user_domain_id: Some("default".into()),
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        ..Caller::default()
    };
    let member = ["member", "reader"];
    let admin = ["admin", "manager", "member", "reader"];
    let all = ["admin", "manager", "member", "reader", "service"];
    let with_service = Caller { service_roles: ["service".to_owned()].into(), ..of(Some("blue"), &member) };
    vec![
        ("nobody", Caller::default()),
        ("o-reader", of(Some("blue"), &["reader"])),
        ("owner", of(Some("blue"), &member)),
        ("o+svc", with_service),
        ("other", of(Some("green"), &member)),
        ("accepted", of(Some("accepted"), &member)),
        ("acc-read", of(Some("accepted"), &["reader"])),
        ("pending", of(Some("pending"), &member)),
        ("rejected", of(Some("rejected"), &member)),
        ("svc", of(Some("service"), &["service"])),
        ("manager", of(Some("blue"), &["manager", "member", "reader"])),
        ("admin", of(Some("ops"), &admin)),
        ("unscoped", Caller { user_domain_id: None, ..of(None, &all) }),
        ("domain", Caller { domain_id: Some("default".into()), ..of(None, &all) }),
        // Keystone's system scope names neither project nor domain.
        ("system", of(None, &all)),
    ]
}

fn image(owner: Option<&str>, visibility: Visibility, status: Status) -> Image {
    let answers = [
        ("accepted", MemberStatus::Accepted),
        ("pending", MemberStatus::Pending),
        ("rejected", MemberStatus::Rejected),
    ];
    let at = Timestamp::UNIX_EPOCH;
    let member = |(name, status): (&str, _)| Member { member: name.into(), status, created_at: at, updated_at: at };
    Image {
        id: "6b0f3b5e-0000-4000-8000-000000000001".into(),
        name: None,
        status,
        visibility,
        owner: owner.map(str::to_owned),
        protected: false,
        os_hidden: false,
        checksum: None,
        os_hash_algo: None,
        os_hash_value: None,
        size: None,
        virtual_size: None,
        container_format: None,
        disk_format: None,
        min_disk: 0,
        min_ram: 0,
        tags: ["t".to_owned()].into(),
        properties: [("os_distro".to_owned(), "debian".to_owned())].into(),
        members: answers.map(member).into(),
        locations: Vec::new(),
        created_at: at,
        updated_at: at,
        version: 1,
    }
}

fn images() -> Vec<(&'static str, Image)> {
    use Visibility::{Community, Private, Public, Shared};
    let blue = Some("blue");
    vec![
        ("private", image(blue, Private, Status::Active)),
        ("shared", image(blue, Shared, Status::Active)),
        ("community", image(blue, Community, Status::Active)),
        ("public", image(blue, Public, Status::Active)),
        ("queued, shared", image(blue, Shared, Status::Queued)),
        ("deactivated, shared", image(blue, Shared, Status::Deactivated)),
        ("deactivated, public", image(blue, Public, Status::Deactivated)),
        ("hidden, public", Image { os_hidden: true, ..image(blue, Public, Status::Active) }),
        ("ownerless, private", image(None, Private, Status::Active)),
        ("ownerless, shared", image(None, Shared, Status::Active)),
        ("ownerless, public", image(None, Public, Status::Active)),
    ]
}

fn cell(result: Result<authz::Permit, fanlight::Error>) -> char {
    match result.map_err(|e| e.kind()) {
        Ok(_) => '+',
        Err(Kind::Forbidden) => 'x',
        Err(Kind::NotFound) => '.',
        Err(other) => panic!("{other:?} is no decision"),
    }
}

/// Takes the name of a row and how each of its cells is found out.
type Ask<'a> = dyn FnMut(&str, &dyn Fn(&Context) -> char) + 'a;

/// The rows of one action: what it is asked of, and how.
fn rows(action: Action, images: &[(&'static str, Image)], ask: &mut Ask<'_>) {
    let store = StoreFacts { id: "s1".into(), kind: "file".into(), labels: [("class".into(), "gold".into())].into() };
    match action {
        Action::GetMember | Action::ModifyMember => {
            for (state, image) in images.iter().filter(|(state, _)| ["shared", "ownerless, shared"].contains(state)) {
                for member in &image.members {
                    let name = format!("{state}: member {}", member.member);
                    ask(&name, &|ctx| cell(authz::check(ctx, action, Resource::Member(image, member))));
                }
            }
        }
        Action::PlaceImage => ask("any store", &|ctx| cell(authz::check(ctx, action, Resource::Store(&store, None)))),
        Action::SeeStore => ask("any store", &|ctx| cell(authz::check(ctx, action, Resource::Store(&store, None)))),
        Action::ReadStore => {
            for (state, image) in images.iter().filter(|(state, _)| *state == "private") {
                let resource = Resource::Store(&store, Some(image));
                ask(&format!("any store, for {state}"), &|ctx| cell(authz::check(ctx, action, resource)));
            }
        }
        Action::ReadProperty | Action::CreateProperty | Action::UpdateProperty | Action::DeleteProperty => {
            for (state, image) in images.iter().filter(|(state, _)| *state == "private") {
                let property = Resource::Property(image, "os_distro");
                ask(&format!("{state}: os_distro"), &|ctx| cell(authz::check(ctx, action, property)));
            }
        }
        Action::GetImages
        | Action::GetAllImages
        | Action::StoresInfoDetail
        | Action::ManageImageCache
        | Action::ExplainDecision
        | Action::GetMetadefNamespaces
        | Action::ListMetadefResourceTypes
        | Action::GetTask
        | Action::GetTasks
        | Action::AddTask
        | Action::ModifyTask
        | Action::TasksApiAccess
        | Action::CacheImage
        | Action::CacheList
        | Action::CacheDelete
        | Action::CacheClean
        | Action::CachePrune
        | Action::ListCachedNodes => ask("service", &|ctx| cell(authz::check(ctx, action, Resource::Service))),
        _ if action.as_str().contains("_metadef_") => {
            for (owner, visibility) in [(Some("blue"), "private"), (Some("blue"), "public"), (None, "private")] {
                let facts = NamespaceFacts {
                    name: "n1".into(),
                    owner: owner.map(str::to_owned),
                    visibility: visibility.into(),
                };
                let name = format!("{} namespace, {visibility}", owner.unwrap_or("ownerless"));
                ask(&name, &|ctx| cell(authz::check(ctx, action, Resource::Namespace(&facts))));
            }
        }
        _ => {
            for (state, image) in images {
                ask(state, &|ctx| cell(authz::check_image(ctx, action, image)));
            }
        }
    }
}

type Files = Vec<(String, Vec<u8>)>;

fn shipped() -> Files {
    Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect()
}

fn table(files: &Files) -> String {
    let rules = Arc::new(Ruleset {
        generation: 1,
        policies: Policies::load(files).unwrap(),
        plugins: Plugins::default(),
        digest: String::new(),
        loaded_at: Timestamp::UNIX_EPOCH,
    });
    let callers = callers();
    let contexts: Vec<Context> = callers
        .iter()
        .map(|(_, caller)| Context {
            request_id: "req-t".into(),
            caller: caller.clone(),
            rules: rules.clone(),
            shadow: None,
            journal: Arc::default(),
        })
        .collect();
    let images = images();
    let mut out = HEAD.to_owned();
    for action in Action::ALL {
        write!(out, "{:<32}", action.as_str()).unwrap();
        for (name, _) in &callers {
            write!(out, " {name:>8}").unwrap();
        }
        out.push('\n');
        rows(*action, &images, &mut |state, decide| {
            write!(out, "  {state:<30}").unwrap();
            for ctx in &contexts {
                write!(out, " {:>8}", decide(ctx)).unwrap();
            }
            out.push('\n');
        });
        out.push('\n');
    }
    out
}

/// The rows of other policies that differ from those of the shipped ones, each below the one it stands for.
fn changes(files: &Files) -> String {
    let (before, after) = (table(&shipped()), table(files));
    let mut out = String::new();
    let mut title = "";
    for (was, is) in before.lines().zip(after.lines()).skip(HEAD.lines().count()) {
        if !was.starts_with(' ') && was == is {
            title = was;
        } else if was != is {
            if !title.is_empty() {
                writeln!(out, "{title}").unwrap();
            }
            title = "";
            writeln!(out, "- {was}\n+ {is}").unwrap();
        }
    }
    out
}

#[test]
fn golden_matrix() {
    golden("authz.txt", &table(&shipped()));
}

/// What an operator has after importing Glance's own rules, beside what is shipped.
#[test]
fn golden_matrix_of_imported_rules() {
    let rules = fanlight::import::Rules::glance().unwrap();
    let (files, _) = fanlight::import::write(&rules).unwrap();
    let files = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    let head = "Glance's own rules, imported, beside the shipped policies: each row that differs, shipped (-) and imported (+).\n\n";
    golden("authz-imported.txt", &format!("{head}{}", changes(&files)));
}

/// Rule sets as operators write them.
const EXAMPLES: [(&str, &str); 3] = [
    (
        "Public images are changed and deleted by administrators only.",
        r#"@id("public.admins") forbid (principal, action in Action::"write", resource is Image)
           when { resource.visibility == "public" } unless { principal.roles.contains("admin") };"#,
    ),
    (
        "Project `blue` is frozen: it changes nothing.",
        r#"@id("frozen.blue") forbid (principal in Project::"blue", action in Action::"write", resource);"#,
    ),
    (
        "Project `green` audits: it sees every image and its members, but no data.",
        r#"@id("audit") permit (
             principal in Project::"green", action in [Action::"get_image", Action::"get_members"], resource
           ) when { principal.roles.contains("reader") };"#,
    ),
];

#[test]
fn golden_matrix_of_example_rule_sets() {
    let mut out =
        "Three rule sets beside the shipped policies: each row that differs, shipped (-) and with the set (+).\n"
            .to_owned();
    for (what, text) in EXAMPLES {
        let mut files = shipped();
        files.push(("example.cedar".into(), text.into()));
        write!(out, "\n== {what}\n\n{}", changes(&files)).unwrap();
    }
    golden("authz-examples.txt", &out);
}
