"""Templates, and what all routes have in common: unknown paths, methods, bodies, parameters, pages of other origins."""

import asyncio
import json

import pytest

import labs_agent
from labs import FIREFOX, NOBODY, counted, is_error, seconds
from quiz import UPGRADE, knock


async def test_templates_are_made_replaced_and_removed(lab):
    name = lab.fresh("template")
    made = await lab.admin.good("POST", "/templates", FIREFOX | {"name": name}, 201)
    assert {key: made[key] for key in FIREFOX} == FIREFOX | {"name": name}
    assert made == await lab.admin.get(f"/templates/{name}") and made["created_at"] == made["updated_at"]
    await lab.admin.refused("TEMPLATE_ALREADY_EXISTS", "POST", "/templates", FIREFOX | {"name": name})
    plain = await lab.admin.good("PUT", f"/templates/{name}", {"base_image": "x"})
    defaults = {
        "display_name": name, "category": "Other", "default_resources": {"memory": "2Gi", "cpu": "1000m"}, "environment": {},
        "persistent_home": True, "idle_timeout": "30m", "tags": [], "icon_url": None,
    }
    assert {key: plain[key] for key in defaults} == defaults and plain["vnc"]["port"] == 5900
    assert (plain["id"], plain["created_at"]) == (made["id"], made["created_at"])
    assert seconds(plain["updated_at"]) >= seconds(made["updated_at"])
    agent = await lab.joined()
    session = await lab.admin.running(template=name, user="x", platform=agent.platform)
    await lab.admin.good("DELETE", f"/templates/{name}", status=204)
    await lab.admin.refused("TEMPLATE_NOT_FOUND", "DELETE", f"/templates/{name}")
    said = await lab.admin.refused("TEMPLATE_NOT_FOUND", "GET", f"/templates/{name}")
    assert said["error"] == "Template not found"
    await lab.admin.refused("TEMPLATE_NOT_FOUND", "PUT", f"/templates/{name}", {"base_image": "x"})
    wish = {"user": "x", "template": name}
    assert (await lab.admin.ask("POST", "/sessions", wish)).status_code == 400, "who asks for a session is at fault"
    await lab.admin.move(session["id"], "hibernated")
    assert (await lab.admin.move(session["id"], "running"))["state"] == "running"


@pytest.mark.parametrize("given", [
    ({"base_image": None}, "MISSING_REQUIRED_FIELD", "base_image"), ({"name": None}, "MISSING_REQUIRED_FIELD", "name"),
    ({"base_image": "a b"}, "TEMPLATE_INVALID", "base_image"), ({"name": "a/b"}, "TEMPLATE_INVALID", "name"),
    ({"vnc": {"port": 0}}, "TEMPLATE_INVALID", "vnc.port"), ({"vnc": {"resolution": "big"}}, "TEMPLATE_INVALID", "vnc.resolution"),
    ({"default_resources": {"memory": "much"}}, "TEMPLATE_INVALID", "default_resources.memory"),
    ({"environment": {"A": 1}}, "TEMPLATE_INVALID", "environment"), ({"environment": {"A=B": "1"}}, "TEMPLATE_INVALID", "environment"),
    ({"idle_timeout": "soon"}, "TEMPLATE_INVALID", "idle_timeout"), ({"tags": ["a,b"]}, "TEMPLATE_INVALID", "tags"),
], ids=str)
async def test_a_template_that_is_not_as_it_must_be(lab, given):
    wrong, code, field = given
    await lab.admin.refused(code, "POST", "/templates", FIREFOX | {"name": lab.fresh("template")} | wrong, field)


async def test_templates_are_listed_by_name_and_category(build_lab):
    lab = await build_lab()
    for index in range(60):
        await lab.admin.good("POST", "/templates", {"name": f"t{index:02}", "base_image": "x", "category": f"c{index % 2}"}, 201)
    names = ["firefox-browser", *(f"t{index:02}" for index in range(60))]

    async def page(**params):
        said = await lab.admin.get("/templates", **params)
        return [row["name"] for row in said["templates"]], said["pagination"]

    assert await page() == (names[:50], {"page": 1, "limit": 50, "total": 61, "total_pages": 2})
    assert await page(page=2) == (names[50:], {"page": 2, "limit": 50, "total": 61, "total_pages": 2})
    assert await page(limit=1000) == (names, {"page": 1, "limit": 100, "total": 61, "total_pages": 1})
    assert (await page(category="c1"))[0] == names[2::2]
    assert await page(category="Web Browsers") == (["firefox-browser"], {"page": 1, "limit": 50, "total": 1, "total_pages": 1})
    assert (await page(category="none"))[1] == {"page": 1, "limit": 50, "total": 0, "total_pages": 0}
    for wrong in ("page=0", "limit=x", "category=a&category=b"):
        await lab.admin.refused("INVALID_PARAMETER", "GET", f"/templates?{wrong}", field=wrong.partition("=")[0])


async def test_users_are_listed_by_name_and_role(build_lab):
    lab = await build_lab()
    for index in range(3):
        await lab.person("admin" if index == 1 else "user", f"u{index}")
    said = await lab.admin.get("/users")
    roles = [("admin", "admin"), ("u0", "user"), ("u1", "admin"), ("u2", "user")]
    assert [(row["username"], row["role"]) for row in said["users"]] == roles
    assert said["pagination"] == {"page": 1, "limit": 20, "total": 4, "total_pages": 1}
    assert [row["username"] for row in await lab.admin.listed("/users", role="admin")] == ["admin", "u1"]
    assert [row["username"] for row in (await lab.admin.get("/users", page=2, limit=3))["users"]] == ["u2"]
    await lab.admin.refused("INVALID_PARAMETER", "GET", "/users?role=operator", field="role")


# --- what all have in common


async def test_what_there_is_not(lab):
    for path in ("/sessions/x/y", "/agents/a/b/c", "/users/x/y/z", "/auth", "/templates/a/b"):
        await lab.admin.refused("NOT_FOUND", "GET", path)
    for method, path in (
        ("PUT", "/sessions"), ("DELETE", "/agents"), ("GET", "/auth/login"), ("POST", f"/sessions/{NOBODY}"), ("PATCH", "/users"),
    ):
        answer = await lab.admin.ask(method, path)
        assert answer.status_code == 405 and answer.json()["code"] == "METHOD_NOT_ALLOWED" and answer.headers["allow"]
    await lab.nobody.refused("NOT_FOUND", "GET", "/sessions/x/y")


@pytest.mark.parametrize("path", [f"/vnc-viewer/{NOBODY}", "/agent/ws", "/api/v1/agents/connect"])
async def test_the_path_of_a_socket_says_that_it_is_one(lab, path):
    answer = await lab.http.get(f"{lab.house.labs}{path}")
    is_error(answer, "UPGRADE_REQUIRED")
    counted(answer)
    assert answer.headers["upgrade"] == "websocket"


async def test_stats_are_no_agent(lab):
    agent = lab.agent("stats")
    await agent.join()
    assert "total_agents" in await lab.admin.get("/agents/stats")
    assert "stats" in [row["agent_id"] for row in await lab.admin.listed("/agents", platform=agent.platform)]


async def test_a_body_that_is_too_large(lab):
    await lab.admin.refused("PAYLOAD_TOO_LARGE", "POST", "/templates", content=b'{"name":"' + b"x" * (1 << 20) + b'"}')
    await lab.admin.good("GET", "/templates")


async def test_what_is_empty_or_null_is_as_good_as_absent(lab):
    agent = await lab.joined()
    assert await lab.admin.listed("/sessions", user="", agent_id=agent.name, state="", tags="") == []
    nulls = {"resources": None, "idle_timeout": None, "tags": None, "state": None, "persistent_home": None}
    made = await lab.admin.start(user="x", platform=agent.platform, **nulls)
    assert (made["tags"], made["idle_timeout"], made["persistent_home"]) == ([], "30m", True)
    await lab.admin.get("/agents", nonsense="1")


async def test_the_requests_id_is_given_back(lab):
    answer = await lab.admin.ask("GET", "/agents", headers={"x-request-id": "abc-123"})
    assert answer.headers["x-request-id"] == "abc-123"
    made = [(await lab.admin.ask("GET", "/agents")).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]


async def test_pages_of_any_origin_may_call(lab):
    for path in ("/auth/login", "/sessions", "/agents/stats"):
        answer = await lab.http.options(f"{lab.house.labs}/api/v1{path}", headers={
            "origin": "https://school.example.org", "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type",
        })
        assert answer.status_code in (200, 204) and answer.headers["access-control-allow-origin"] in ("*", "https://school.example.org")
        allowed = {header.strip().lower() for header in answer.headers["access-control-allow-headers"].split(",")}
        assert allowed >= {"authorization", "content-type"}
    answer = await lab.admin.ask("GET", "/agents", headers={"origin": "https://school.example.org"})
    assert answer.headers["access-control-allow-origin"] in ("*", "https://school.example.org")


async def test_what_was_written_on_one_shard_is_read_on_any(lab):
    agent = await lab.joined()
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    for _ in range(5):
        for state in ("hibernated", "running"):
            await lab.admin.move(id, state)
            assert {row["state"] for row in await asyncio.gather(*(lab.admin.session(id) for _ in range(6)))} == {state}


async def test_presence_is_served_on_the_same_listener(lab):
    answer = await knock(lab.house, "/ws", *UPGRADE, port=lab.house.presence_port)
    assert answer.status_code == 101 and lab.house.labs_port == lab.house.presence_port
    unknown = await lab.http.get(f"{lab.house.url}/api/v1/classrooms/none")
    assert "x-ratelimit-limit" not in unknown.headers


async def test_labs_may_have_a_listener_of_their_own(build, http, name):
    from house import PORTS
    from labs import Lab, seen

    port = PORTS.free()
    house = build(listen={"labs": {"bind": f"127.0.0.1:{port}"}})
    house.labs_port = port
    lab = await Lab(house, http, name).open()
    agent = await lab.joined()
    id = (await lab.admin.running(user="x", platform=agent.platform))["id"]
    assert await seen(await lab.admin.view(id), len(labs_agent.BANNER)) == labs_agent.BANNER
    assert (await http.get(f"{house.url}/api/v1/agents")).headers.get("x-ratelimit-limit") is None
    await lab.close()


async def test_templates_of_the_settings_are_there_from_the_start(build_lab):
    lab = await build_lab(labs={"templates": []})
    folder = lab.house.folder
    lab.house.stop()
    text = (folder / "homeroom.toml").read_text()
    seeded = '[[labs.templates]]\nname = "xterm"\nbase_image = "host/xterm"\ncategory = "Host"\nvnc = { port = 5901 }\n'
    (folder / "homeroom.toml").write_text(text.replace("templates = []\n", "") + seeded)
    lab.house.start()
    said = await lab.admin.get("/templates/xterm")
    assert (said["base_image"], said["category"], said["vnc"]["port"]) == ("host/xterm", "Host", 5901)
    await lab.admin.good("PUT", "/templates/xterm", {"base_image": "changed"})
    lab.house.stop()
    lab.house.start()
    assert (await lab.admin.get("/templates/xterm"))["base_image"] == "changed", "what was changed since stays"
    assert json.dumps(await lab.admin.get("/templates", category="Host")).count('"total": 0') == 1
