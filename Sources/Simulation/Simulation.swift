// Filled by its first user.
