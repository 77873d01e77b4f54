-- Past ranges that are counted again, to be compared with what live traffic gave, and what feedback is joined by.

CREATE TABLE backfills (
    -- As in stream_partitions and window_results.
    job text COLLATE "C" PRIMARY KEY,
    topic text COLLATE "C" NOT NULL,
    range_from bigint NOT NULL,
    range_to bigint NOT NULL,
    -- The windows that it counts, and for each the earliest start of one that it counts whole.
    definitions text[] NOT NULL,
    whole_from bigint[] NOT NULL,
    -- What may be missing, in words; empty if nothing.
    note text NOT NULL DEFAULT '',
    started_at bigint NOT NULL,
    finished_at bigint
);

-- The prompt's variant, and of a shadow the request that it repeats.
ALTER TABLE requests
    ADD COLUMN variant text,
    ADD COLUMN shadow_of uuid;
CREATE INDEX requests_shadows ON requests (shadow_of) WHERE shadow_of IS NOT NULL;

-- The other request that a comparing judgement had before it.
ALTER TABLE feedback ADD COLUMN pair uuid;
CREATE INDEX feedback_by_request ON feedback (request);

-- Each shadow beside the request that it repeats. Both are in one partition, the shadow at most a day later.
CREATE VIEW shadow_pairs AS
SELECT r.id, s.id AS shadow, r.at, r.route, r.policy, r.variant, s.variant AS shadow_variant,
    r.model_key, s.model_key AS shadow_model_key, r.outcome, s.outcome AS shadow_outcome,
    r.cost_nano_usd, s.cost_nano_usd AS shadow_cost_nano_usd, r.total_ms, s.total_ms AS shadow_total_ms,
    (SELECT avg(f.value) FROM feedback f WHERE f.request = r.id AND f.name = 'quality') AS quality,
    (SELECT avg(f.value) FROM feedback f WHERE f.request = s.id AND f.name = 'quality') AS shadow_quality
FROM requests s JOIN requests r ON r.id = s.shadow_of AND r.at BETWEEN s.at - 86400000 AND s.at + 86400000
WHERE s.shadow_of IS NOT NULL;
