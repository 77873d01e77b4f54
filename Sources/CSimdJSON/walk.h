// Checks the grammar of a document and lays its values out.
#pragma once
#include "CSimdJSON.h"
#include "fields.h"
#include "numbers.h"
#include <cstdint>
#include <cstring>

namespace trimtab {

template <class Cursor> class Walk {
  public:
    // The first known field that stands twice; -1 where none does.
    int32_t repeated = -1;

    // - guesses: `most_guesses` of them.
    Walk(const Cursor &start, const uint8_t *bytes, uint64_t *tape, size_t max_depth, uint32_t *fields,
         Guess *guesses) noexcept
        : bytes(bytes), tape(tape), max_depth(max_depth), fields(fields), guess(guesses),
          no_guess(guesses + most_guesses), cursor(start), out(tape) {}

    // Reads an object. Where it ends is `place`.
    int32_t document(const Node *known) noexcept {
        if (*cursor.here() != '{') { return TT_JSON_NO_OBJECT; }
        if (object(known, 1)) { return TT_JSON_OK; }
        return is_deep ? TT_JSON_TOO_DEEP : TT_JSON_MALFORMED;
    }

    auto place() const noexcept { return cursor.place(); }

  private:
    const uint8_t *const bytes;
    uint64_t *const tape;
    const size_t max_depth;
    uint32_t *const fields;
    uint64_t seen = 0;
    bool is_deep = false;
    Guess *guess;
    Guess *const no_guess;
    // Kept in variables of their own while an object or array is walked, since they change with every token.
    Cursor cursor;
    uint64_t *out;

    bool object(const Node *known, size_t depth) noexcept {
        return items('}', TT_JSON_OBJECT, depth, [=](Cursor &at, uint64_t *&out) TT_LAMBDA {
            const Node::Entry *entry;
            if (guess != no_guess && guess->known == known && at.name(*guess, out)) {
                entry = (guess++)->entry;
            } else if (*at.here() == '"' && at.text(out) && *at.here() == ':') {
                at.step();
                entry = find(known, out[-1]);
            } else {
                return false;
            }
            if (entry != nullptr) { note(entry); }
            const Node *inside = entry == nullptr ? nullptr : entry->inside.get();
            uint64_t *const place = out;
            if (!value(at, out, inside, depth)) { return false; }
            if (entry != nullptr && *place >> 56 != TT_JSON_NULL) {
                fields[entry->field] = static_cast<uint32_t>(place - tape);
            }
            return true;
        });
    }

    bool array(size_t depth) noexcept {
        return items(']', TT_JSON_ARRAY, depth, [=](Cursor &at, uint64_t *&out) TT_LAMBDA {
            return value(at, out, nullptr, depth);
        });
    }

    // What stands between brackets, with commas between.
    template <class Item>
    TT_INLINE bool items(uint8_t close, uint64_t type, size_t depth, const Item &item) noexcept {
        if (depth > max_depth) { return !(is_deep = true); }
        Cursor at = cursor;
        at.step();
        uint64_t *out = this->out;
        uint64_t *const head = out++;
        if (*at.here() != close) {
            while (true) {
                if (!item(at, out)) { return false; }
                const uint8_t next = *at.here();
                if (next == close) { break; }
                if (next != ',') { return false; }
                at.step();
            }
        }
        at.step();
        cursor = at;
        this->out = out;
        *head = word(type, static_cast<uint64_t>(out - tape));
        return true;
    }

    TT_INLINE bool value(Cursor &at, uint64_t *&out, const Node *known, size_t depth) noexcept {
        const uint8_t *start = at.here();
        switch (*start) {
        case '"': return at.text(out);
        case 't': return literal(at, out, "true", 4, TT_JSON_TRUE);
        case 'f': return literal(at, out, "false", 5, TT_JSON_FALSE);
        case 'n': return literal(at, out, "null", 4, TT_JSON_NULL);
        case '{':
        case '[': {
            cursor = at;
            this->out = out;
            const bool is_valid = *start == '{' ? object(known, depth + 1) : array(depth + 1);
            at = cursor;
            out = this->out;
            return is_valid;
        }
        default: {
            const bool is_valid = number(start, out);
            at.past(start);
            return is_valid;
        }
        }
    }

    TT_INLINE bool literal(Cursor &at, uint64_t *&out, const char *text, size_t length, uint64_t type) noexcept {
        const uint8_t *start = at.here();
        at.past(start + length);
        *out++ = word(type, 0);
        return std::memcmp(start, text, length) == 0 && ends.flags[start[length]];
    }

    // The known field of a name; expects the name in its place in the next document too.
    TT_INLINE const Node::Entry *find(const Node *known, uint64_t word) noexcept {
        const uint8_t *const text = bytes + (word & ((1 << 28) - 1));
        const uint32_t length = word >> 28 & ((1 << 28) - 1);
        const Node::Entry *const entry = known == nullptr ? nullptr : known->find(Name(text, length), text);
        if (guess != no_guess) {
            if (length >= 1 && length <= 16) { *guess = Guess(text, length, known, entry); }
            guess++;
        }
        return entry;
    }

    TT_INLINE void note(const Node::Entry *entry) noexcept {
        const uint64_t bit = uint64_t(1) << entry->field;
        if ((seen & bit) != 0 && repeated < 0) { repeated = static_cast<int32_t>(entry->field); }
        seen |= bit;
    }
};

} // namespace trimtab
