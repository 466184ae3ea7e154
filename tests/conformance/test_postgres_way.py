"""The way to PostgreSQL: TLS, passwords, and commands that open the records themselves. The server's certificate is made for this run."""

import os
import secrets
from urllib.parse import quote

import pytest

import database
import postgres
import tokens
from authority import Authority
from client import sign_in
from house import PORTS
from test_commands import owner, run, signed_in
from test_user_command import listed, login, user

pytestmark = database.only_postgres

MODES = ["require", "verify-ca", "verify-full"]
ADDRESS = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Whose certificate the server has."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def cluster(authority):
    """PostgreSQL that lets in whoever comes by TLS and has a password (SCRAM), and nobody else but its superuser."""
    try:
        postgres.program("initdb")
    except AssertionError as error:
        pytest.skip(str(error))
    cluster = postgres.Cluster(PORTS.free(), durable=False, password_encryption="scram-sha-256")
    cluster.admit(f"host all {postgres.USER} {ADDRESS}/32 trust", f"hostssl all all {ADDRESS}/32 scram-sha-256")
    cluster.certify(*authority.sign(ADDRESS))
    cluster.start()
    yield cluster
    cluster.remove()


class Records:
    """An empty database of a user with a password, and how it is reached."""

    def __init__(self, cluster, authority, folder):
        # What has a meaning of its own in an address, too.
        self.password = secrets.token_hex(8) + " :@/?&=%'ß"
        self.plain = cluster.create(self.password)
        self.role = self.plain.rsplit("/", 1)[1]
        self.root = quote(str(authority.certificate), safe="")
        self.file = folder / "password"
        self.file.write_text(f"{self.password}\n")
        self.file.chmod(0o600)

    def address(self, password: bool = False, host: str = ADDRESS, **parameters) -> str:
        """With the parameters given."""
        whole = self.plain.replace(f"@{ADDRESS}", f"@{host}")
        if password:
            whole = whole.replace("@", f":{quote(self.password, safe='')}@", 1)
        return "?".join([whole, *(["&".join(f"{name}={value}" for name, value in parameters.items())] if parameters else [])])


@pytest.fixture
def records(cluster, authority, tmp_path):
    """New ones."""
    return Records(cluster, authority, tmp_path)


def looks(address: str, *arguments: str, **environment):
    """`homeroom migrate`, which only looks: what it says, and that no password is in it."""
    nothing = {"PGPASSFILE": os.devnull}
    said = run("migrate", "--database", address, *arguments, **(nothing | environment))
    return said


def refused(said, *words: str):
    """It failed, in words that hold these."""
    assert said.returncode == 1 and said.stdout == "", said
    assert all(word in said.stderr for word in words), said.stderr


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_encrypts_and_knows_whom_it_speaks_to(cluster, records, mode):
    good = looks(records.address(password=True, sslmode=mode, sslrootcert=records.root))
    assert good.returncode == 0 and records.role in good.stdout, good


@pytest.mark.parametrize("mode", MODES)
def test_no_mode_speaks_to_somebody_else(cluster, records, mode, tmp_path):
    """Neither one whose certificate nobody known has signed, nor one with another's name."""
    stranger = Authority(tmp_path)
    root = quote(str(stranger.certificate), safe="")
    refused(looks(records.address(password=True, sslmode=mode, sslrootcert=root)), "certificate")
    # Of the machine's own authorities none has signed it.
    refused(looks(records.address(password=True, sslmode=mode)), "certificate")
    refused(looks(records.address(password=True, host="localhost", sslmode=mode, sslrootcert=records.root)), "certificate")


def test_without_tls_the_password_is_not_even_asked_for(cluster, records):
    for parameters in ({}, {"sslmode": "disable"}):
        said = looks(records.address(password=True, **parameters))
        refused(said, "no pg_hba.conf entry")
        assert records.password not in said.stderr


def test_a_server_without_tls_is_not_spoken_to_by_tls(records):
    plain = postgres.shared(PORTS.free)
    refused(looks(f"{plain.create()}?sslmode=require&sslrootcert={records.root}"), "TLS")


def test_a_root_certificate_that_is_none_is_named(cluster, records, tmp_path):
    broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"
    for name, text in (("none.pem", None), ("empty.pem", ""), ("broken.pem", broken)):
        file = tmp_path / name
        if text is not None:
            file.write_text(text)
        refused(looks(records.address(password=True, sslmode="require", sslrootcert=quote(str(file), safe=""))), name)


def test_a_password_comes_from_the_address_a_file_or_the_environment(cluster, records, tmp_path):
    tls = {"sslmode": "verify-full", "sslrootcert": records.root}
    known = tmp_path / "pgpass"
    known.write_text(f"{ADDRESS}:{cluster.port}:*:{records.role}:{records.password.replace(':', chr(92) + ':')}\n")
    known.chmod(0o600)
    address = records.address(**tls)
    ways = [
        looks(records.address(password=True, **tls)),
        looks(address, "--store.password-file", str(records.file)),
        looks(address, PGPASSWORD=records.password),
        looks(address, PGPASSFILE=str(known)),
        # Bound to this very connection: nobody between has its certificate's key.
        looks(records.address(password=True, channel_binding="require", **tls)),
    ]
    assert [way.returncode for way in ways] == [0] * len(ways), ways
    known.chmod(0o644)
    refused(looks(address, PGPASSFILE=str(known)), "password")


def test_a_wrong_password_is_told_of_and_not_shown(cluster, records):
    wrong = secrets.token_hex(12)
    for said in (
        looks(records.address(sslmode="require", sslrootcert=records.root), PGPASSWORD=wrong),
        looks(records.address(sslmode="require", sslrootcert=records.root).replace("@", f":{wrong}@", 1)),
    ):
        refused(said, "password authentication failed", records.role)
        assert wrong not in said.stderr


async def test_a_server_serves_by_tls_and_a_password_file(cluster, records, build, room, name):
    address = records.address(sslmode="verify-full", sslrootcert=records.root)
    house = build(database=address, store={"password_file": str(records.file)})
    house.secrets.append(records.password)
    await sign_in(house, room, tokens.token(name("pupil")))
    rows = cluster.ask(f"SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = '{records.role}'")
    assert len(rows) >= 2 and all(encrypted and version == "TLSv1.3" for encrypted, version in rows), rows


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_commands_work_where_no_node_serves(build, end):
    house = build()
    password, other = secrets.token_hex(8), secrets.token_hex(8)
    house.secrets += [password, other]
    getattr(house, end)()
    assert user(house, "add", "mary", said=f"{password}\n").returncode == 0
    assert owner(house, "teacher", f"{password}\n").returncode == 0
    assert owner(house, "teacher", f"{other}\n").returncode == 0
    assert listed(house)["mary"][:2] == ["user", "active"]
    assert database.beside(house).execute("SELECT count(*) FROM node") == [(0,)], "none of them stays a node"
    house.start()
    assert login(house, "mary", password).status_code == 200
    assert [signed_in(house, "teacher", word).status_code for word in (password, other)] == [401, 200]


def test_on_an_empty_database_the_first_user_makes_the_tables(build):
    house = build()
    house.stop()
    house.database = house.cluster.create()
    config = house.config.read_text()
    house.config.write_text(config.replace(config.split('database = "')[1].split('"')[0], house.database))
    none = user(house, "list")
    assert none.returncode == 1 and "no records" in none.stderr and none.stdout == "", none
    password = secrets.token_hex(8)
    made = user(house, "add", "mary", said=f"{password}\n")
    assert made.returncode == 0 and "new records" in made.stderr, made
    house.start()
    assert login(house, "mary", password).status_code == 200


def test_while_another_node_serves_it_is_named_and_nothing_is_changed(build):
    house = build(store={"node": "first"})
    other = build(database=house.database, store={"node": "second"})
    password = secrets.token_hex(8)
    house.stop()
    for said in (user(house, "add", "mary", said=f"{password}\n"), owner(house, "mary", f"{password}\n"), user(house, "list")):
        assert said.returncode == 1 and '"second"' in said.stderr and "--internal" in said.stderr and said.stdout == "", said
    assert set(listed(other)) == {"admin"}
    told = run("user", "add", "mary", "--internal", other.internal, said=f"{password}\n")
    assert told.returncode == 0 and set(listed(other)) == {"admin", "mary"}, told
