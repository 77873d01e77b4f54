-- How each route's rollout took injected faults, before anything depended on it; the newest fifty of a route are kept.

CREATE TABLE rehearsals (
    id uuid PRIMARY KEY,
    route text COLLATE "C" NOT NULL REFERENCES routes ON DELETE CASCADE,
    at bigint NOT NULL,
    -- The stable one.
    policy integer NOT NULL,
    passed boolean NOT NULL,
    -- What of the route it holds for.
    terms jsonb NOT NULL,
    document jsonb NOT NULL
);
CREATE INDEX rehearsals_by_route ON rehearsals (route, id DESC);
