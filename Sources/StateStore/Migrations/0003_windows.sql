-- Declared windows of several definitions side by side, told apart by name and by the values of their own dimensions.

ALTER TABLE stream_windows RENAME COLUMN fired TO emitted;
ALTER TABLE stream_windows
    ADD COLUMN definition text COLLATE "C" NOT NULL DEFAULT 'requests',
    -- A JSON array of texts: the values of the dimensions that have no column.
    ADD COLUMN others text COLLATE "C" NOT NULL DEFAULT '[]',
    ADD COLUMN new_events bigint NOT NULL DEFAULT 0,
    ADD COLUMN new_since bigint,
    DROP CONSTRAINT stream_windows_pkey,
    ADD PRIMARY KEY (job, partition, definition, window_end, window_start, route, model_key, arm, policy, others);

ALTER TABLE window_results
    ADD COLUMN definition text COLLATE "C" NOT NULL DEFAULT 'requests',
    ADD COLUMN others text COLLATE "C" NOT NULL DEFAULT '[]',
    ADD COLUMN job text COLLATE "C" NOT NULL DEFAULT 'main',
    -- Rises with each pane where panes add up; 0 where a later pane replaces the earlier.
    ADD COLUMN delta integer NOT NULL DEFAULT 0,
    ADD COLUMN kind text COLLATE "C" NOT NULL DEFAULT 'ontime',
    -- The watermark that all partitions must have passed for the result to be final; NULL: not known.
    ADD COLUMN closes_at bigint,
    DROP CONSTRAINT window_results_pkey,
    ADD PRIMARY KEY (definition, route, window_start, window_end, model_key, arm, policy, others, partition, delta, job);

ALTER TABLE window_feedback
    ADD COLUMN definition text COLLATE "C" NOT NULL DEFAULT 'requests',
    ADD COLUMN others text COLLATE "C" NOT NULL DEFAULT '[]',
    DROP CONSTRAINT window_feedback_pkey,
    ADD PRIMARY KEY (definition, route, window_start, window_end, model_key, arm, policy, others, name, partition);

-- What was stored before belongs to the job that stored it.
UPDATE window_results SET job = p.job FROM (SELECT min(job) AS job FROM stream_partitions) p WHERE p.job <> 'main';

-- The partial results of all partitions, merged; quantiles, distinct counts and top lists are merged by the program.
-- Results of a backfill stand apart until they are compared.
CREATE VIEW windows AS
SELECT r.job, r.definition, r.window_start, r.window_end, r.route, r.model_key, r.arm, r.policy, r.others,
    sum(r.requests)::bigint AS requests, sum(r.failures)::bigint AS failures,
    sum(r.cost_n)::bigint AS cost_n, sum(r.cost_sum) AS cost_sum, sum(r.cost_sum_of_squares) AS cost_sum_of_squares,
    sum(r.unknown_cost)::bigint AS unknown_cost,
    sum(r.input_tokens) AS input_tokens, sum(r.output_tokens) AS output_tokens,
    COALESCE(max(r.closes_at) <= min(w.watermark), false) AS final
FROM window_results r
LEFT JOIN (SELECT job, min(COALESCE(watermark, -9223372036854775808)) AS watermark FROM stream_partitions GROUP BY job) w
    USING (job)
GROUP BY r.job, r.definition, r.window_start, r.window_end, r.route, r.model_key, r.arm, r.policy, r.others;
