"""`fanlight policy import` against the real oslo.policy: random rules, random callers and images, the same answers.

oslo.policy decides, its answers become cases, and `fanlight policy test` asks the imported policies those cases. Images
belong to the caller's project here, so that nothing but the rule decides; what Glance checks in its code has tests of
its own beside the converter.
"""

import json
import random
import subprocess

import pytest
from oslo_config import cfg
from oslo_policy import policy

import gateway

IMAGE_ACTIONS = ["get_image", "modify_image", "upload_image", "get_members", "add_member", "copy_image", "download_image"]
SERVICE_ACTIONS = ["get_images", "cache_list", "cache_prune", "tasks_api_access", "stores_info_detail"]
ROLES = ["member", "reader", "auditor", "service"]
ATOMS = [
    "@", "!", "role:member", "role:Reader", "role:auditor", "rule:mine", "project_id:%(project_id)s",
    "project_id:%(owner)s", "tenant:%(owner)s", "project_id:blue", "project_id:green", "user_id:alice",
    "'public':%(visibility)s", "'shared':%(visibility)s", "'active':%(status)s", "True:%(protected)s",
    "False:%(os_hidden)s", "'gold':%(class)s", "'x':%(name)s", "roles:auditor", "'raw':%(disk_format)s",
    "'literal':literal", "'literal':other", "None:%(name)s",
]


def expression(rng, depth=3):
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(ATOMS)
    left, right = expression(rng, depth - 1), expression(rng, depth - 1)
    form = rng.choice(["({} and {})", "{} or {}", "not ({})", "({}) and ({})", "{} and not {}", "(({} or {}))"])
    return form.format(left, right)


def rules(rng):
    made = {name: expression(rng) for name in IMAGE_ACTIONS + SERVICE_ACTIONS}
    made["mine"] = "role:member or role:auditor"
    made["get_image"] = rng.choice([made["get_image"], [["role:member", "project_id:%(owner)s"], ["role:auditor"]]])
    return made


def enforcer(folder, made):
    (folder / "empty.conf").write_text("")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(folder / "empty.conf")], project="test")
    found = policy.Enforcer(conf, use_conf=False)
    found.set_rules(policy.Rules.load(json.dumps(made)), overwrite=True, use_conf=False)
    return found


def case(rng, oslo, number):
    action = rng.choice(IMAGE_ACTIONS + SERVICE_ACTIONS)
    project = rng.choice(["blue", "green"])
    user = rng.choice(["alice", "bob"])
    roles = [role for role in ROLES if rng.random() < 0.5]
    credentials = {"user_id": user, "project_id": project, "tenant": project, "roles": roles}
    principal = {"user": user, "project": project, "roles": roles}
    found = {"name": f"case {number}", "principal": principal, "action": action}
    if action in SERVICE_ACTIONS:
        target = {"project_id": project}
    else:
        image = {
            "owner": project,
            "visibility": rng.choice(["private", "shared", "community", "public"]),
            "status": rng.choice(["active", "queued"]),
            "protected": rng.random() < 0.5,
            "os_hidden": rng.random() < 0.5,
        }
        for name, value in [("name", "x"), ("disk_format", "raw")]:
            if rng.random() < 0.5:
                image[name] = value
        properties = {"class": rng.choice(["gold", "iron"])} if rng.random() < 0.5 else {}
        target = {"name": None, "disk_format": None, **image, "project_id": project, **properties}
        found["image"] = {**image, "properties": properties}
    found["decision"] = "permit" if oslo.enforce(action, target, credentials) else "deny"
    return found


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def run(*command):
    return subprocess.run([gateway.binary(), *command], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("seed", range(6))
def test_imported_rules_answer_as_oslo_policy(tmp_path, seed):
    rng = random.Random(seed)
    made = rules(rng)
    (tmp_path / "policy.yaml").write_text(json.dumps(made))
    out = tmp_path / "imported"
    imported = run("policy", "import", "--policy", tmp_path / "policy.yaml", "--out", out, "--json")
    assert imported.returncode == 0, imported.stdout + imported.stderr
    report = json.loads(imported.stdout)
    assert report["differences"] == 0 and len(report["rules"]) == 68

    oslo = enforcer(tmp_path, made)
    cases = [case(rng, oslo, number) for number in range(500)]
    permitted = sum(one["decision"] == "permit" for one in cases)
    assert 0 < permitted < len(cases)
    text = "\n".join("[[case]]\n" + "\n".join(f"{k} = {toml(v)}" for k, v in one.items()) for one in cases)
    (tmp_path / "cases.toml").write_text(text)
    tested = run("policy", "test", out, "--cases", tmp_path / "cases.toml", "--json")
    answers = json.loads(tested.stdout)
    wrong = [one for one in answers["cases"] if not one["passed"]]
    assert len(answers["cases"]) == 500 and wrong == [], (made, wrong[:3])
