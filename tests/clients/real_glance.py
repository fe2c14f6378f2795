"""What Glance 33.0.0 permits: its own policy code and oslo.policy decide, on images and callers that are made up.

The package lies beside the environment (`tests/install` unpacks it), because its requirements do not go with those of the
clients. Its database is not there; what that checks is written down in `stored`.
"""

import configparser
import datetime
import os
import pathlib
import sys

import webob.exc
from oslo_config import cfg
from oslo_policy import opts, policy

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(os.environ.get("FANLIGHT_TEST_GLANCE", str(ROOT / "target" / "tests-glance")))

from glance import context, domain, policies  # noqa: E402
from glance.api import policy as glance_policy  # noqa: E402
from glance.api.v2 import policy as api_policy  # noqa: E402
from glance.common import exception, property_utils  # noqa: E402

OWNERS = {
    "modify_image", "delete_image", "upload_image", "publicize_image", "communitize_image", "deactivate", "reactivate",
    "set_image_location", "delete_image_location",
}
MEMBERS = {"get_member", "get_members", "add_member", "modify_member", "delete_member"}
# What is asked of nothing but the caller's own project, and of nothing at all.
OF_PROJECT = {"get_images", "get_metadef_namespaces", "list_metadef_resource_types", "add_metadef_namespace"}
OF_NOTHING = {
    "stores_info_detail", "manage_image_cache", "list_cached_nodes", "cache_image", "cache_list", "cache_delete",
    "cache_clean", "cache_prune", "get_task", "get_tasks", "add_task", "modify_task", "tasks_api_access",
}
PARTS = {"default", "context_is_admin", "service_api", "metadef_default", "metadef_admin"}
ACTIONS = sorted(rule.name for rule in policies.list_rules() if rule.name not in PARTS)


def defaults():
    return {rule.name: rule.check_str for rule in policies.list_rules()}


def enforcer(folder, rules=None):
    """Glance's enforcer, with an operator's rules over its own."""
    file = folder / "glance-policy.yaml"
    cfg.CONF([], project="glance", default_config_files=[])
    opts._register(cfg.CONF)
    cfg.CONF.set_override("policy_file", str(file), group="oslo_policy")
    found = glance_policy.Enforcer(suppress_deprecation_warnings=True)
    found.load_rules()
    if rules:
        found.set_rules(policy.Rules.load(rules), overwrite=False, use_conf=False)
    return found


def caller(found, principal):
    return context.RequestContext(
        user_id=principal.get("user"),
        project_id=principal.get("project"),
        project_domain_id=principal.get("domain"),
        roles=list(principal.get("roles", [])),
        service_roles=list(principal.get("service_roles", [])),
        policy_enforcer=found,
    )


def image(ctx, facts):
    shared = facts["visibility"] == "shared" and facts.get("owner") != ctx.project_id
    now = datetime.datetime.now()
    names = ["owner", "visibility", "protected", "os_hidden", "name", "disk_format", "container_format", "size"]
    given = {name: facts[name] for name in names if name in facts}
    return domain.Image(
        "6b0f3b5e-0000-4000-8000-000000000001", facts.get("status", "active"), now, now,
        extra_properties=dict(facts.get("properties", {})), member=ctx.project_id if shared else None, **given,
    )


class Namespace:
    def __init__(self, facts):
        self.owner, self.visibility = facts.get("owner"), facts["visibility"]


def permits(found, case):
    """Whether Glance does what the case asks for."""
    ctx, action = caller(found, case.get("principal", {})), case["action"]
    if action in OF_PROJECT:
        return bool(found.check(ctx, action, {"project_id": ctx.project_id}))
    if action in OF_NOTHING:
        return bool(found.check(ctx, action, {}))
    if "namespace" in case:
        seen = sees_namespace(ctx, case["namespace"])
        return seen and checks(api_policy.MetadefAPIPolicy(ctx, Namespace(case["namespace"]), enforcer=found), action)
    facts = case["image"]
    if action == "add_image":
        target = {"owner": facts.get("owner"), "visibility": facts["visibility"]}
        return checks(api_policy.ImageAPIPolicy(ctx, target, found), action)
    asked = [action]
    if action in ("modify_member", "delete_member"):
        asked.insert(0, "get_member")
    made = api_policy.MemberAPIPolicy if action in MEMBERS else api_policy.ImageAPIPolicy
    target = image(ctx, facts)
    return stored(ctx, action, facts, case.get("member")) and all(
        checks(made(ctx, target, enforcer=found), name) for name in asked
    )


def checks(asked, rule):
    try:
        asked._enforce(rule)
    except (webob.exc.HTTPForbidden, webob.exc.HTTPNotFound):
        return False
    return True


def owns(ctx, facts):
    return facts.get("owner") is not None and facts["owner"] == ctx.project_id


def stored(ctx, action, facts, member):
    """What the database and the controllers check: `is_image_visible`, `is_image_mutable`, `_image_member_find`."""
    if action in MEMBERS and facts["visibility"] != "shared":
        return False
    if ctx.is_admin:
        return True
    if member is not None and not owns(ctx, facts) and member != ctx.project_id:
        return False
    mine = facts["visibility"] == "shared" and ctx.project_id in facts.get("members", {})
    seen = facts.get("owner") is None or facts["visibility"] in ("public", "community") or owns(ctx, facts) or mine
    handed_out = not (action.startswith("download") and facts.get("status") == "deactivated")
    return seen and handed_out and (action not in OWNERS or owns(ctx, facts))


def sees_namespace(ctx, facts):
    """`_is_namespace_visible`"""
    open_to_all = facts.get("owner") is None or facts["visibility"] == "public"
    return ctx.is_admin or open_to_all or facts["owner"] == ctx.project_id


def protections(found, file, mode):
    """Glance's rules for properties, from a file."""
    property_utils.CONFIG = configparser.ConfigParser()
    cfg.CONF.set_override("property_protection_file", str(file))
    cfg.CONF.set_override("property_protection_rule_format", mode)
    return property_utils.PropertyRules(found)


def permits_property(found, rules, case):
    ctx = caller(found, case["principal"])
    return bool(rules.check_property_rules(case["property"], case["action"].removesuffix("_property"), ctx))


def refuses(found, file, mode):
    """Whether Glance does not start with this file."""
    try:
        protections(found, file, mode)
    except exception.InvalidPropertyProtectionConfiguration:
        return True
    return False
