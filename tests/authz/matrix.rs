//! Every action, asked by everybody, of images in every interesting state. The table is compared byte for byte, so a
//! change of a shipped policy shows in review as the cells that it changes. `UPDATE_GOLDEN=1` writes it anew.

use std::{fmt::Write, sync::Arc};

use fanlight::{
    Kind,
    authz::{self, Action, NamespaceFacts, Policies, Question, Resource, StoreFacts},
    context::{Caller, Context},
    image::{Image, Member, MemberStatus, Status, Visibility},
    import::{self, Rules, Stricter},
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

fn cell(ctx: &Context, action: Action, resource: Resource<'_>) -> char {
    let result = match resource {
        Resource::Image(image) => authz::check_image(ctx, action, image),
        other => authz::check(ctx, action, other),
    };
    match result.map_err(|e| e.kind()) {
        Ok(_) => '+',
        Err(Kind::Forbidden) => 'x',
        Err(Kind::NotFound) => '.',
        Err(other) => panic!("{other:?} is no decision"),
    }
}

/// Takes the name of a row and what is asked for in it.
type Ask<'a> = dyn FnMut(&str, Resource<'_>) + 'a;

/// The rows of one action: what it is asked of.
fn rows(action: Action, images: &[(&'static str, Image)], ask: &mut Ask<'_>) {
    let store = StoreFacts { id: "s1".into(), kind: "file".into(), labels: [("class".into(), "gold".into())].into() };
    match action {
        Action::GetMember | Action::ModifyMember => {
            for (state, image) in images.iter().filter(|(state, _)| ["shared", "ownerless, shared"].contains(state)) {
                for member in &image.members {
                    ask(&format!("{state}: member {}", member.member), Resource::Member(image, member));
                }
            }
        }
        Action::PlaceImage | Action::SeeStore => ask("any store", Resource::Store(&store, None)),
        Action::ReadStore => {
            for (state, image) in images.iter().filter(|(state, _)| *state == "private") {
                ask(&format!("any store, for {state}"), Resource::Store(&store, Some(image)));
            }
        }
        Action::ReadProperty | Action::CreateProperty | Action::UpdateProperty | Action::DeleteProperty => {
            for (state, image) in images.iter().filter(|(state, _)| *state == "private") {
                ask(&format!("{state}: os_distro"), Resource::Property(image, "os_distro"));
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
        | Action::ListCachedNodes => ask("service", Resource::Service),
        _ if action.as_str().contains("_metadef_") => {
            for (owner, visibility) in [(Some("blue"), "private"), (Some("blue"), "public"), (None, "private")] {
                let facts = NamespaceFacts {
                    name: "n1".into(),
                    owner: owner.map(str::to_owned),
                    visibility: visibility.into(),
                };
                let name = format!("{} namespace, {visibility}", owner.unwrap_or("ownerless"));
                ask(&name, Resource::Namespace(&facts));
            }
        }
        _ => {
            for (state, image) in images {
                ask(state, Resource::Image(image));
            }
        }
    }
}

type Files = Vec<(String, Vec<u8>)>;

fn shipped() -> Files {
    Policies::shipped().into_iter().filter(|(name, _)| name.ends_with(".cedar")).collect()
}

fn contexts(files: &Files) -> Vec<Context> {
    let rules = Arc::new(Ruleset {
        generation: 1,
        policies: Policies::load(files).unwrap(),
        plugins: Plugins::default(),
        digest: String::new(),
        loaded_at: Timestamp::UNIX_EPOCH,
    });
    let context = |(_, caller)| Context {
        request_id: "req-t".into(),
        caller,
        rules: rules.clone(),
        shadow: None,
        journal: Arc::default(),
    };
    callers().into_iter().map(context).collect()
}

fn heading(out: &mut String, action: Action, count: usize) {
    write!(out, "{:<32}", action.as_str()).unwrap();
    for (name, _) in callers().iter().take(count) {
        write!(out, " {name:>8}").unwrap();
    }
    out.push('\n');
}

fn table(files: &Files) -> String {
    let (contexts, images) = (contexts(files), images());
    let mut out = HEAD.to_owned();
    for action in Action::ALL {
        heading(&mut out, *action, contexts.len());
        rows(*action, &images, &mut |state, resource| {
            write!(out, "  {state:<30}").unwrap();
            for ctx in &contexts {
                write!(out, " {:>8}", cell(ctx, *action, resource)).unwrap();
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

fn imported() -> (Rules, Files) {
    let rules = Rules::glance().unwrap();
    let (files, _) = import::write(&rules).unwrap();
    (rules, files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect())
}

/// What an operator has after importing Glance's own rules, beside what is shipped.
#[test]
fn golden_matrix_of_imported_rules() {
    let (_, files) = imported();
    let head = "Glance's own rules, imported, beside the shipped policies: each row that differs, shipped (-) and imported (+).\n\n";
    golden("authz-imported.txt", &format!("{head}{}", changes(&files)));
}

const GLANCE: &str = "\
What Glance 33 answers by its own rules and code, and what they answer once imported. Where both say the same there is one
sign, as in `authz.txt`. Where not, Glance's sign comes first and the number names the trap of Glance's that is closed:

  1  a shared image is everybody's to the rule, so that a project which rejected it still sees it; only members do here
  3  an image or a namespace without an owner is everybody's
  4  who is an administrator or a reader is so without a project, too; a token without a project gets nothing here

There are no other differences. Tokens of a domain or of the system get nothing here and, by the scope of its rules, in Glance.

";

/// The number of a trap in the table.
fn trap(reason: Stricter) -> char {
    match reason {
        Stricter::Rejected => '1',
        Stricter::NoOwner => '3',
        Stricter::NoProject => '4',
        other => panic!("{other:?} is no trap of the rules that Glance ships"),
    }
}

/// Glance's answer as a sign: an image that must not be seen is hidden.
fn glances(rules: &Rules, caller: &Caller, action: Action, resource: Resource<'_>) -> Option<char> {
    let asked = |action| import::glance(rules, &Question::of(caller, action, &resource));
    Some(match (asked(action)?, resource) {
        (true, _) => '+',
        (false, Resource::Image(_)) if asked(Action::GetImage) == Some(false) => '.',
        (false, _) => 'x',
    })
}

#[test]
fn golden_matrix_of_glance_and_of_its_rules_imported() {
    let (rules, files) = imported();
    let (mut contexts, images) = (contexts(&files), images());
    contexts.truncate(callers().iter().position(|(name, _)| *name == "domain").unwrap());
    let mut out = GLANCE.to_owned();
    for action in Action::ALL.iter().copied().filter(|action| rules.get(action.as_str()).is_some()) {
        heading(&mut out, action, contexts.len());
        rows(action, &images, &mut |state, resource| {
            write!(out, "  {state:<30}").unwrap();
            for ctx in &contexts {
                let (there, here) =
                    (glances(&rules, &ctx.caller, action, resource).unwrap(), cell(ctx, action, resource));
                let reason = Stricter::of(&Question::of(&ctx.caller, action, &resource));
                assert!(
                    there == here || here != '+' && reason.is_some(),
                    "{action} {state} {:?}: {there} {here}",
                    ctx.caller
                );
                let sign = match reason {
                    Some(reason) if there != here => format!("{there}{here}{}", trap(reason)),
                    _ => there.to_string(),
                };
                write!(out, " {sign:>8}").unwrap();
            }
            out.push('\n');
        });
        out.push('\n');
    }
    golden("authz-glance.txt", &out);
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
