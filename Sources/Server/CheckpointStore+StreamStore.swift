import StateStore

extension CheckpointStore: StreamStore {}
