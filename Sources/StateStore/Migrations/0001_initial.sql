-- Text is compared byte by byte (COLLATE "C"), so that the order is the same in every database.
-- Times are milliseconds since the epoch, money is nano-dollars, shares are 0 to 1.

-- Counters that rise with every change, in the order of commits: 'table' is the epoch of the routing table.
CREATE TABLE revisions (
    name text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO revisions VALUES ('table', 0), ('leases', 0), ('keys', 0), ('prices', 0);

CREATE TABLE routes (
    name text COLLATE "C" PRIMARY KEY,
    document jsonb NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE TABLE policies (
    route text COLLATE "C" NOT NULL REFERENCES routes ON DELETE CASCADE,
    version integer NOT NULL CHECK (version > 0),
    content_hash text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    document jsonb NOT NULL,
    PRIMARY KEY (route, version)
);

CREATE TABLE routing_table (
    route text COLLATE "C" PRIMARY KEY REFERENCES routes ON DELETE CASCADE,
    stable integer NOT NULL,
    candidate integer,
    weight double precision NOT NULL DEFAULT 0 CHECK (weight BETWEEN 0 AND 1),
    salt numeric(20) NOT NULL DEFAULT 0,
    rollout uuid,
    step integer,
    lease_until bigint,
    epoch bigint NOT NULL,
    FOREIGN KEY (route, stable) REFERENCES policies (route, version),
    FOREIGN KEY (route, candidate) REFERENCES policies (route, version)
);

CREATE TABLE rollouts (
    id uuid PRIMARY KEY,
    route text COLLATE "C" NOT NULL REFERENCES routes ON DELETE CASCADE,
    stable integer NOT NULL,
    candidate integer NOT NULL,
    phase text COLLATE "C" NOT NULL,
    active boolean NOT NULL,
    decision uuid,
    created_at bigint NOT NULL,
    ended_at bigint,
    document jsonb NOT NULL
);
CREATE UNIQUE INDEX rollouts_one_active ON rollouts (route) WHERE active;
CREATE INDEX rollouts_by_route ON rollouts (route, id DESC);

CREATE TABLE decisions (
    id uuid PRIMARY KEY,
    route text COLLATE "C" NOT NULL REFERENCES routes ON DELETE CASCADE,
    at bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX decisions_by_route ON decisions (route, id DESC);
CREATE INDEX decisions_proposed ON decisions (route, id DESC) WHERE status = 'proposed';

CREATE TABLE findings (
    id uuid PRIMARY KEY,
    route text COLLATE "C" NOT NULL REFERENCES routes ON DELETE CASCADE,
    code text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL DEFAULT '',
    severity text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    document jsonb NOT NULL,
    UNIQUE (route, code, model_key)
);

CREATE TABLE audit (
    id uuid PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text COLLATE "C" NOT NULL,
    route text COLLATE "C",
    subject text NOT NULL,
    detail text NOT NULL
);
CREATE INDEX audit_by_route ON audit (route, id DESC);

CREATE TABLE keys (
    name text COLLATE "C" PRIMARY KEY,
    project text,
    digest text COLLATE "C" NOT NULL UNIQUE,
    created_at bigint NOT NULL,
    revoked_at bigint
);

CREATE TABLE tokens (
    name text COLLATE "C" PRIMARY KEY,
    role text COLLATE "C" NOT NULL,
    digest text COLLATE "C" NOT NULL UNIQUE,
    created_at bigint NOT NULL,
    revoked_at bigint
);

CREATE TABLE prices (
    revision bigint PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    document jsonb NOT NULL
);

CREATE TABLE gateways (
    id text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    seen_at bigint NOT NULL
);

-- Who leads, for fencing: the epoch rises with every new leader.
CREATE TABLE leaders (
    name text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    holder text NOT NULL
);
