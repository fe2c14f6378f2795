"""Fills a fresh Keystone with the people of the tests. Running it again changes nothing.

Everybody's password is `secret`. `root` (project `ops`, role `admin`) is made by the bootstrap before.
"""

import sys

import openstack

# (user, project, role): the same people as behind the tokens `alice:blue:member` and so on of the development identity.
PEOPLE = [
    ("alice", "blue", "member"),
    ("amy", "blue", "reader"),
    ("bob", "green", "member"),
    ("nova", "service", "service"),
    ("fanlight", "service", "service"),
]


def main(auth_url: str) -> None:
    cloud = openstack.connect(
        auth_url=auth_url,
        username="root",
        password="secret",
        project_name="ops",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    identity = cloud.identity
    for user_name, project_name, role_name in PEOPLE:
        project = identity.find_project(project_name) or identity.create_project(name=project_name)
        user = identity.find_user(user_name) or identity.create_user(
            name=user_name, password="secret", default_project_id=project.id
        )
        identity.assign_project_role_to_user(project, user, identity.find_role(role_name, ignore_missing=False))
    if not identity.find_service("fanlight"):
        identity.create_service(name="fanlight", type="image")


main(sys.argv[1])
