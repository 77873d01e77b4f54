-- What people look at the stream with, and window results at coarser levels for longer times.

-- Milliseconds since the epoch; NULL until the first checkpoint.
ALTER TABLE stream_partitions ADD COLUMN checkpointed_at bigint;

ALTER TABLE dead_letters ADD COLUMN replayed_at bigint, ADD COLUMN replayed_by text;

-- Results by hour and by day: all partitions merged, by the start of the window.
CREATE TABLE window_hours (
    definition text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL,
    arm text COLLATE "C" NOT NULL,
    policy integer NOT NULL,
    others text COLLATE "C" NOT NULL,
    requests bigint NOT NULL,
    failures bigint NOT NULL,
    cost_n bigint NOT NULL,
    cost_sum double precision NOT NULL,
    cost_sum_of_squares double precision NOT NULL,
    unknown_cost bigint NOT NULL,
    input_tokens double precision NOT NULL,
    output_tokens double precision NOT NULL,
    aggregate bytea NOT NULL,
    PRIMARY KEY (definition, window_start, route, model_key, arm, policy, others)
) PARTITION BY RANGE (window_start);

CREATE TABLE window_days (LIKE window_hours INCLUDING ALL) PARTITION BY RANGE (window_start);

CREATE TABLE window_feedback_hours (
    definition text COLLATE "C" NOT NULL,
    window_start bigint NOT NULL,
    window_end bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    model_key text COLLATE "C" NOT NULL,
    arm text COLLATE "C" NOT NULL,
    policy integer NOT NULL,
    others text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    sum double precision NOT NULL,
    sum_of_squares double precision NOT NULL,
    PRIMARY KEY (definition, window_start, route, model_key, arm, policy, others, name)
) PARTITION BY RANGE (window_start);

CREATE TABLE window_feedback_days (LIKE window_feedback_hours INCLUDING ALL) PARTITION BY RANGE (window_start);

-- What has changed since it was rolled up. One row for each partition, so that workers do not wait for one another.
CREATE TABLE rollups_due (
    level text COLLATE "C" NOT NULL,
    definition text COLLATE "C" NOT NULL,
    start bigint NOT NULL,
    partition integer NOT NULL,
    -- Whether results have changed, or feedback only.
    results boolean NOT NULL,
    PRIMARY KEY (level, definition, start, partition)
);
INSERT INTO rollups_due
SELECT 'hour', definition, start, partition, true FROM (
    SELECT definition, window_start - (window_start % 3600000 + 3600000) % 3600000 AS start, partition FROM window_results
    WHERE NOT starts_with(job, 'backfill-')
    UNION
    SELECT definition, window_start - (window_start % 3600000 + 3600000) % 3600000, partition FROM window_feedback
) found;

-- Before this time a level's rows are gone, and the next coarser one is read.
CREATE TABLE window_levels (
    level text COLLATE "C" PRIMARY KEY,
    kept_from bigint NOT NULL
);
INSERT INTO window_levels VALUES ('window', -9223372036854775808), ('hour', -9223372036854775808);

-- Live results as fine as they are still kept.
CREATE VIEW window_history AS
SELECT definition, window_start, window_end, route, model_key, arm, policy, others, partition, delta, kind, closes_at,
    job, requests, failures, cost_n, cost_sum, cost_sum_of_squares, unknown_cost, input_tokens, output_tokens, aggregate
FROM window_results
WHERE NOT starts_with(job, 'backfill-') AND window_start >= (SELECT kept_from FROM window_levels WHERE level = 'window')
UNION ALL
SELECT definition, window_start, window_end, route, model_key, arm, policy, others, -1, 0, 'ontime', window_end,
    '', requests, failures, cost_n, cost_sum, cost_sum_of_squares, unknown_cost, input_tokens, output_tokens, aggregate
FROM window_hours
WHERE window_start < (SELECT kept_from FROM window_levels WHERE level = 'window')
    AND window_start >= (SELECT kept_from FROM window_levels WHERE level = 'hour')
UNION ALL
SELECT definition, window_start, window_end, route, model_key, arm, policy, others, -1, 0, 'ontime', window_end,
    '', requests, failures, cost_n, cost_sum, cost_sum_of_squares, unknown_cost, input_tokens, output_tokens, aggregate
FROM window_days
WHERE window_start < (SELECT kept_from FROM window_levels WHERE level = 'hour');

CREATE VIEW window_feedback_history AS
SELECT definition, window_start, window_end, route, model_key, arm, policy, others, name, partition, n, sum, sum_of_squares
FROM window_feedback WHERE window_start >= (SELECT kept_from FROM window_levels WHERE level = 'window')
UNION ALL
SELECT definition, window_start, window_end, route, model_key, arm, policy, others, name, -1, n, sum, sum_of_squares
FROM window_feedback_hours
WHERE window_start < (SELECT kept_from FROM window_levels WHERE level = 'window')
    AND window_start >= (SELECT kept_from FROM window_levels WHERE level = 'hour')
UNION ALL
SELECT definition, window_start, window_end, route, model_key, arm, policy, others, name, -1, n, sum, sum_of_squares
FROM window_feedback_days
WHERE window_start < (SELECT kept_from FROM window_levels WHERE level = 'hour');
