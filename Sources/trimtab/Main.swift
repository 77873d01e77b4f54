import ArgumentParser

@main
struct Trimtab: ParsableCommand {}
