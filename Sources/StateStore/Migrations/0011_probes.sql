-- Answers of models to fixed prompts, by which a model that was changed under its name is noticed; never their text.

CREATE TABLE probes (
    -- `provider/model`.
    model_key text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    -- Name of the prompt with a hash of its text.
    probe text COLLATE "C" NOT NULL,
    -- The 64 bits of a hash of the answer's text.
    digest bigint NOT NULL,
    output_tokens bigint NOT NULL,
    PRIMARY KEY (model_key, at, probe)
);
CREATE INDEX probes_by_time ON probes (at);
