"""`fanlight policy import` against the real oslo.policy and Glance's own policy code: the same rules, callers and images,
the same answers.

Glance decides, its answers become cases, and `fanlight policy test` asks the imported policies those cases.
"""

import json
import random
import subprocess

import pytest
import yaml

import gateway
import real_glance as glance

PROJECTS = ["blue", "green", "red"]
ROLES = ["admin", "member", "reader", "auditor", "service"]
# What a rule can say without looking at anything, and what it can say of an image.
ATOMS = [
    "@", "!", "role:member", "role:Reader", "role:auditor", "rule:mine", "project_id:blue", "project_id:green",
    "user_id:alice", "roles:auditor", "roles:Auditor", "'literal':literal", "'literal':other", "tenant:blue",
    "is_admin:True", "system_scope:all", "domain_id:None", "project_domain_id:default", "a.b:c", "None:None",
]
IMAGE_ATOMS = ATOMS + [
    "project_id:%(project_id)s", "project_id:%(owner)s", "tenant:%(owner)s", "project_id:%(member_id)s",
    "'public':%(visibility)s", "'shared':%(visibility)s", "'active':%(status)s", "True:%(protected)s",
    "False:%(os_hidden)s", "'gold':%(class)s", "'x':%(name)s", "'raw':%(disk_format)s", "None:%(name)s",
    "None:%(owner)s", "'blue':%(owner)s", "'x-gold':x-%(class)s", "roles:%(class)s", "None:%(member_id)s",
]
# What their target is depends on the request, so that the importer takes no attribute there.
HIDDEN = {"publicize_image", "communitize_image", "cache_image", "cache_delete"}


def expression(rng, atoms, depth=3):
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(atoms)
    left, right = expression(rng, atoms, depth - 1), expression(rng, atoms, depth - 1)
    form = rng.choice(["({} and {})", "{} or {}", "not ({})", "({}) and ({})", "{} and not {}", "(({} or {}))"])
    return form.format(left, right)


def rules(rng):
    made = {}
    for action in glance.ACTIONS:
        if rng.random() < 0.7:
            made[action] = expression(rng, ATOMS if action in HIDDEN else IMAGE_ATOMS)
            if action == "get_image" or action in glance.MEMBERS:
                made[action] = f"role:member or ({made[action]})"
    made["mine"] = "role:member or role:auditor"
    made["get_images"] = rng.choice([[["role:member", "project_id:%(project_id)s"], ["role:auditor"]], []])
    made["download_image"] = "role:%(class)s or role:reader"
    return made


def principal(rng):
    found = {"user": rng.choice(["alice", "bob"]), "roles": [role for role in ROLES if rng.random() < 0.4]}
    if rng.random() < 0.85:
        found["project"], found["domain"] = rng.choice(PROJECTS), rng.choice(["default", "other"])
    if rng.random() < 0.2:
        found["service_roles"] = ["service"]
    return found


def image(rng):
    found = {
        "owner": rng.choice([*PROJECTS, None]),
        "visibility": rng.choice(["private", "shared", "shared", "community", "public"]),
        "status": rng.choice(["active", "queued", "deactivated"]),
        "protected": rng.random() < 0.5,
        "os_hidden": rng.random() < 0.5,
        "members": {p: rng.choice(["accepted", "pending", "rejected"]) for p in PROJECTS if rng.random() < 0.4},
        "properties": {"class": rng.choice(["gold", "iron", "reader", "auditor"])} if rng.random() < 0.5 else {},
    }
    for name, value in [("name", "x"), ("disk_format", "raw")]:
        if rng.random() < 0.5:
            found[name] = value
    return {name: value for name, value in found.items() if value is not None}


def namespace(rng):
    found = {"name": "n", "visibility": rng.choice(["public", "private"])}
    owner = rng.choice([*PROJECTS, None])
    return found if owner is None else {**found, "owner": owner}


def case(rng, action):
    found = {"principal": principal(rng), "action": action}
    if action == "add_metadef_namespace" or action not in glance.OF_PROJECT | glance.OF_NOTHING:
        if "metadef" in action:
            found["namespace"] = namespace(rng)
        else:
            found["image"] = image(rng)
    if action in ("get_member", "modify_member"):
        found["member"] = rng.choice(PROJECTS)
        found["image"]["members"].setdefault(found["member"], "pending")
    return found


def is_stricter(one):
    """Whether it is one of the reported reasons for a denial of what Glance permits."""
    project = one["principal"].get("project")
    resource = one.get("image") or one.get("namespace")
    if project is None or resource and resource.get("owner") is None:
        return True
    if "property" in one:
        return bool(one["principal"].get("service_roles"))
    rejected = one.get("image", {}).get("members", {}).get(project) == "rejected"
    return rejected or one["action"] == "delete_member" and one["image"]["owner"] != project


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(value)


def run(*command):
    return subprocess.run([gateway.binary(), *command], capture_output=True, text=True, timeout=240)


def imported(folder, made, *more):
    (folder / "policy.yaml").write_text(json.dumps(made))
    out = folder / "imported"
    done = run("policy", "import", "--policy", folder / "policy.yaml", "--out", out, "--prove", "5000", "--json", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["differences"] == 0 and report["written"]
    return out, report


def compare(folder, policies, cases, decide):
    """Glance's answers and those of the policies; returns how many Glance permits and how many are stricter here."""
    for number, one in enumerate(cases):
        one["name"] = f"case {number}"
        one["decision"] = "permit" if decide(one) else "deny"
    text = "\n".join("[[case]]\n" + "\n".join(f"{k} = {toml(v)}" for k, v in one.items()) for one in cases)
    (folder / "cases.toml").write_text(text)
    tested = run("policy", "test", policies, "--cases", folder / "cases.toml", "--json")
    answers = json.loads(tested.stdout)["cases"]
    assert len(answers) == len(cases)
    other = [one for one, answer in zip(cases, answers) if not answer["passed"]]
    wrong = [one for one in other if one["decision"] == "deny" or not is_stricter(one)]
    assert wrong == [], wrong[:3]
    return sum(one["decision"] == "permit" for one in cases), len(other)


def test_the_table_of_defaults_is_glances():
    table = yaml.safe_load((glance.ROOT / "src" / "import" / "glance.yaml").read_text())
    assert len(table) == 67 and table == glance.defaults()


def test_every_default_answers_as_glance(tmp_path):
    rng = random.Random(33)
    policies, report = imported(tmp_path, {})
    assert len(report["rules"]) == 67 and len(glance.ACTIONS) == 62
    found = glance.enforcer(tmp_path)
    cases = [case(rng, action) for action in glance.ACTIONS for _ in range(60)]
    permitted, stricter = compare(tmp_path, policies, cases, lambda one: glance.permits(found, one))
    assert len(cases) / 5 < permitted < len(cases) and stricter < permitted / 2


@pytest.mark.parametrize("seed", range(6))
def test_imported_rules_answer_as_glance(tmp_path, seed):
    rng = random.Random(seed)
    made = rules(rng)
    policies, report = imported(tmp_path, made)
    assert len(report["rules"]) == 68
    found = glance.enforcer(tmp_path, json.dumps(made))
    cases = [case(rng, action) for action in glance.ACTIONS for _ in range(20)]
    permitted, _ = compare(tmp_path, policies, cases, lambda one: glance.permits(found, one))
    assert 0 < permitted < len(cases)


# As in tests/authz/matrix.rs.
PERSONAS = {
    "nobody": {},
    "o-reader": {"project": "blue", "roles": ["reader"]},
    "owner": {"project": "blue", "roles": ["member", "reader"]},
    "o+svc": {"project": "blue", "roles": ["member", "reader"], "service_roles": ["service"]},
    "other": {"project": "green", "roles": ["member", "reader"]},
    "accepted": {"project": "accepted", "roles": ["member", "reader"]},
    "acc-read": {"project": "accepted", "roles": ["reader"]},
    "pending": {"project": "pending", "roles": ["member", "reader"]},
    "rejected": {"project": "rejected", "roles": ["member", "reader"]},
    "svc": {"project": "service", "roles": ["service"]},
    "manager": {"project": "blue", "roles": ["manager", "member", "reader"]},
    "admin": {"project": "ops", "roles": ["admin", "manager", "member", "reader"]},
    "unscoped": {"roles": ["admin", "manager", "member", "reader", "service"]},
}


def asked_in(state):
    """The row's resource."""
    if state == "service":
        return {}
    state, _, member = state.partition(": member ")
    if " namespace, " in state:
        owner, visibility = state.split(" namespace, ")
        facts = {"name": "n1", "visibility": visibility}
        return {"namespace": facts if owner == "ownerless" else {**facts, "owner": owner}}
    words = state.split(", ")
    facts = {
        "visibility": words[-1],
        "status": words[0] if words[0] in ("queued", "deactivated") else "active",
        "os_hidden": words[0] == "hidden",
        "members": {"accepted": "accepted", "pending": "pending", "rejected": "rejected"},
        "properties": {"os_distro": "debian"},
    }
    if words[0] != "ownerless":
        facts["owner"] = "blue"
    return {"image": facts, **({"member": member} if member else {})}


def test_the_table_of_glances_answers_is_true(tmp_path):
    found = glance.enforcer(tmp_path)
    asked, action, names = 0, None, []
    table = (glance.ROOT / "tests" / "golden" / "authz-glance.txt").read_text()
    for line in table.split("in Glance.\n", 1)[1].splitlines():
        if line and not line.startswith(" "):
            action, *names = line.split()
            continue
        if not line:
            continue
        state, *signs = line.rsplit(maxsplit=len(names))
        for name, sign in zip(names, signs, strict=True):
            one = {"principal": PERSONAS[name], "action": action, **asked_in(state.strip())}
            assert glance.permits(found, one) == (sign[0] == "+"), (action, state, name)
            asked += 1
    assert asked > 3800 and names == list(PERSONAS)


PATTERNS = ["^x_none_.*", "^x_(owner|billing)$", "class[12]", "^a\\*", "b\\*.*c$", "secret", "^os_.*", "licen[cs]e?"]
NAMES = [
    "x_none_", "x_none_class1", "x_owner", "x_owners", "x_billing", "my_class2_x", "class3", "a*", "a*b", "ab", "b*c",
    "b*xc", "bxc", "secret", "my_secret", "os_distro", "os_glance_x", "licence", "license", "other",
]


@pytest.mark.parametrize("mode", ["roles", "policies"])
@pytest.mark.parametrize("seed", range(3))
def test_property_protections_answer_as_glance(tmp_path, mode, seed):
    rng = random.Random(seed)
    who = {
        "roles": ["@", "!", "", "admin", "Member", "member, reader", "auditor,!", "service"],
        "policies": ["@", "!", "", "mine", "theirs", "context_is_admin", "default"],
    }[mode]
    made = {"mine": "role:member and not role:service", "theirs": "role:auditor or project_id:blue or 'x':%(owner)s"}
    operations = ["create", "read", "update", "delete"]
    sections = [
        f"[{pattern}]\n" + "".join(f"{operation} = {rng.choice(who)}\n" for operation in operations)
        for pattern in rng.sample(PATTERNS, 5) + rng.choice([[".*"], []])
    ]
    file = tmp_path / "protections.conf"
    file.write_text("\n".join(sections))
    policies, report = imported(tmp_path, made, "--property-protections", file, "--protections-mode", mode)
    assert {row["rule"] for row in report["rules"]} >= {f"{operation}_property" for operation in operations}

    found = glance.enforcer(tmp_path, json.dumps(made))
    protecting = glance.protections(found, file, mode)
    cases = [
        {"principal": principal(rng), "action": f"{operation}_property", "property": name, "image": image(rng) | {"owner": "blue"}}
        for operation in operations for name in NAMES for _ in range(10)
    ]
    permitted, _ = compare(tmp_path, policies, cases, lambda one: glance.permits_property(found, protecting, one))
    assert 0 < permitted < len(cases)


def test_what_glance_does_not_start_with_is_refused(tmp_path):
    found = glance.enforcer(tmp_path)
    whole = "create = @\nread = @\nupdate = @\ndelete = @\n"
    for text, mode in [
        ("[a]\ncreate = @\n", "roles"),
        (f"[(a]\n{whole}", "roles"),
        ("[a]\n" + whole.replace("create = @", "create = @, !"), "roles"),
        ("[a]\n" + whole.replace("create = @", "create = one, two"), "policies"),
    ]:
        file = tmp_path / "protections.conf"
        file.write_text(text)
        assert glance.refuses(found, file, mode), text
        done = run("policy", "import", "--property-protections", file, "--protections-mode", mode)
        assert done.returncode != 0, text
