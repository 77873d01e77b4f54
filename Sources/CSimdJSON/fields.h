// The known fields of a document and how they are found by name.
#pragma once
#include "CSimdJSON.h"
#include "numbers.h"
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace trimtab {

TT_INLINE uint64_t text_word(uint32_t start, uint32_t length) noexcept {
    return word(TT_JSON_STRING, uint64_t(length) << 28 | start);
}

// A name by its first and last eight bytes, which for names of up to sixteen is all of it.
struct Name {
    uint64_t head;
    uint64_t tail;
    uint32_t length;

    // Reads eight bytes even of a shorter text: there is padding behind every text.
    Name(const uint8_t *text, uint32_t size) noexcept : head(0), tail(0), length(size) {
        std::memcpy(&head, text, sizeof head);
        if (size < 8) {
            head &= (uint64_t(1) << (8 * size)) - 1;
        } else {
            std::memcpy(&tail, text + size - 8, sizeof tail);
        }
    }

    bool operator==(const Name &other) const noexcept {
        return ((head ^ other.head) | (tail ^ other.tail) | (length ^ other.length)) == 0;
    }
};

// The known fields of one object, in a table with open addressing.
struct Node {
    struct Entry {
        Name name;
        std::string text;
        uint32_t field;
        std::unique_ptr<Node> inside;
    };
    // More than TT_JSON_MOST_FIELDS, so that a search ends.
    static const size_t places = 256;
    std::vector<Entry> entries;
    int16_t table[places];

    Node() { std::memset(table, -1, sizeof table); }

    static size_t place(const Name &name) noexcept {
        return (name.head + name.tail * 31 + name.length) * 0x9E3779B97F4A7C15 >> 56;
    }

    // - text: where the name stands, of which `name` knows no more than sixteen bytes.
    const Entry *find(const Name &name, const uint8_t *text) const noexcept {
        for (size_t at = place(name); table[at] >= 0; at = (at + 1) % places) {
            const Entry &entry = entries[static_cast<size_t>(table[at])];
            if (entry.name == name && (name.length <= 16 || std::memcmp(entry.text.data(), text, name.length) == 0)) {
                return &entry;
            }
        }
        return nullptr;
    }

    void add(const std::string &text, uint32_t field) {
        std::string padded = text;
        padded.resize(text.size() + 8);
        const Name name(reinterpret_cast<const uint8_t *>(padded.data()), static_cast<uint32_t>(text.size()));
        size_t at = place(name);
        while (table[at] >= 0) { at = (at + 1) % places; }
        table[at] = static_cast<int16_t>(entries.size());
        entries.push_back(Entry{name, text, field, nullptr});
    }
};

// A name that is expected, of one to sixteen bytes, and the field that it is of those known.
struct Guess {
    const Node *known = nullptr;
    const Node::Entry *entry = nullptr;
    // What the tape has for it, but for its place.
    uint64_t word = 0;
    // Of the name with its quotes and colon.
    uint32_t size = 4;

    Guess() noexcept = default;
    Guess(const uint8_t *text, uint32_t length, const Node *known, const Node::Entry *entry) noexcept
        : known(known), entry(entry), word(text_word(0, length)), size(length + 3) {
        // Not as it stands there, where white space and what escapes have left may be behind it.
        uint8_t bytes[32] = {'"'}, used[16] = {};
        std::memcpy(bytes + 1, text, length);
        std::memcpy(bytes + 1 + length, "\":", 2);
        std::memset(used, 0xFF, size < sizeof used ? size : sizeof used);
        mask = load_block(used);
        head = load_block(bytes) & mask;
        std::memcpy(&tail, bytes + size - sizeof tail, sizeof tail);
    }

    TT_INLINE bool is_at(const uint8_t *quote) const noexcept {
        uint32_t last;
        std::memcpy(&last, quote + size - sizeof last, sizeof last);
        return bits((load_block(quote) & mask) == head) == 0xFFFF && last == tail;
    }

  private:
    // At first what nothing is.
    Block head = {1};
    // The bytes of `head` that are used.
    Block mask = {};
    // The last four bytes.
    uint32_t tail = 0;
};

// The names of the document before, in their order: the next one tends to have the same.
constexpr size_t most_guesses = 64;

} // namespace trimtab
