-- What the stream workers store. Tables that grow with time have one partition a day, made ahead and dropped whole.

CREATE TABLE stream_partitions (
    job text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    topic text COLLATE "C" NOT NULL,
    owner text NOT NULL,
    -- Rises with every claim; a commit with an older one changes nothing.
    epoch bigint NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    watermark bigint,
    -- NULL until the first commit.
    state bytea,
    PRIMARY KEY (job, partition)
);

CREATE TABLE stream_windows (
    job text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL,
    arm text COLLATE "C" NOT NULL,
    policy integer NOT NULL,
    pane integer NOT NULL,
    fired boolean NOT NULL,
    aggregate bytea NOT NULL,
    PRIMARY KEY (job, partition, window_end, window_start, route, model_key, arm, policy),
    FOREIGN KEY (job, partition) REFERENCES stream_partitions ON DELETE CASCADE
);

CREATE TABLE window_results (
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL,
    arm text COLLATE "C" NOT NULL,
    policy integer NOT NULL,
    partition integer NOT NULL,
    pane integer NOT NULL,
    requests bigint NOT NULL,
    failures bigint NOT NULL,
    cost_n bigint NOT NULL,
    cost_sum double precision NOT NULL,
    cost_sum_of_squares double precision NOT NULL,
    unknown_cost bigint NOT NULL,
    input_tokens double precision NOT NULL,
    output_tokens double precision NOT NULL,
    -- All of the above and the sketches, in the stream's own form.
    aggregate bytea NOT NULL,
    PRIMARY KEY (route, window_start, window_end, model_key, arm, policy, partition)
) PARTITION BY RANGE (window_start);

CREATE TABLE window_feedback (
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL,
    arm text COLLATE "C" NOT NULL,
    policy integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    n bigint NOT NULL,
    sum double precision NOT NULL,
    sum_of_squares double precision NOT NULL,
    PRIMARY KEY (route, window_start, window_end, model_key, arm, policy, name, partition)
) PARTITION BY RANGE (window_start);

-- One row a judgement, so that a repeated one is refused.
CREATE TABLE feedback (
    id uuid NOT NULL,
    -- Of the request it speaks of, and so the same for every repetition.
    window_start bigint NOT NULL,
    request uuid NOT NULL,
    at bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (id, window_start)
) PARTITION BY RANGE (window_start);

CREATE TABLE requests (
    id uuid NOT NULL,
    at bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL,
    arm text COLLATE "C" NOT NULL,
    policy integer NOT NULL,
    virtual_key text,
    rollout uuid,
    step integer,
    candidate_weight double precision,
    propensity double precision,
    outcome text COLLATE "C" NOT NULL,
    cost_nano_usd bigint,
    total_ms double precision NOT NULL,
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);

CREATE TABLE evidence_panes (
    rollout uuid NOT NULL,
    number bigint NOT NULL,
    partition integer NOT NULL,
    step integer NOT NULL,
    arm text COLLATE "C" NOT NULL,
    candidate_weight double precision NOT NULL,
    requests bigint NOT NULL,
    failures bigint NOT NULL,
    counts bytea NOT NULL,
    PRIMARY KEY (rollout, number, partition, step, arm)
);

CREATE TABLE dead_letters (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    at bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    raw bytea NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX dead_letters_by_time ON dead_letters (at);
