"""Inputs of the published digest vectors: what an implementation in another language must read, or refuse, alike."""

from __future__ import annotations

from switchyard.protocol.canonical import MAX_JSON_DEPTH

_DEEPEST = '{"a":' * (MAX_JSON_DEPTH - 1) + "{}" + "}" * (MAX_JSON_DEPTH - 1)

_EVENT = """{
  "event_id": "0b9c6c7e-7d0a-5c3e-8b59-0f5a0f3a1c11", "type": "NoAgentFits", "version": 1, "tenant": "acme",
  "case_id": "5f0e8d7c-6b5a-5493-8271-605f4e3d2c1b", "session_id": "s-1", "opened_on": "2026-07-01",
  "playbook_version": "assist/1", "seq": 2, "ordinal": 0, "siblings": 1, "node_from": "triage", "node_to": "router",
  "parents": ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
  "digest": "", "occurred_at": "2026-07-01T08:00:00.000000Z", "trace": {"traceparent": "00-1-1-01"},
  "case_deadline": "2026-07-01T08:15:00Z", "budget": {"attempts": 3, "tokens": 0},
  "principal": {"sub": "service:upstream.portal", "tenant": "acme"},
  "payload": {"why": "Das f\\u00e4llt unter keine Karte."}, "storage_refs": {}
}"""

ACCEPTED_INPUTS: tuple[tuple[str, str], ...] = (
    ("an empty object", "{}"),
    ("one member", '{"type":"CaseOpened"}'),
    ("names are sorted", '{"b":2,"a":1,"C":3}'),
    ("names are sorted at every level", '{"z":{"y":{"b":1,"a":2},"x":3},"a":[{"d":4,"c":5}]}'),
    ("a name that begins another comes first", '{"ab":1,"a":2,"":3}'),
    ("names of digits are sorted as text", '{"10":1,"9":2,"1":3}'),
    ("the order of an array is content", '{"a":[3,1,2]}'),
    ("white space is not content", '{ "a" :\n\t[ 1 , 2 ]\r\n}'),
    ("empty values", '{"a":{},"b":[],"c":"","d":null}'),
    ("true, false and null", '{"t":true,"f":false,"n":null}'),
    ("zero", '{"n":0}'),
    ("the largest integer", '{"n":9007199254740991}'),
    ("the smallest integer", '{"n":-9007199254740991}'),
    ("a decimal is a string", '{"amount":"12.50"}'),
    ("short escapes", r'{"s":"\b\t\n\f\r\"\\"}'),
    ("other control characters have lower-case escapes", r'{"s":"\u0001\u000B\u001F"}'),
    ("an escaped slash is a slash", r'{"s":"a\/b"}'),
    ("an escaped letter is the letter, in names too", r'{"\u0061":"\u0041"}'),
    ("DEL is not escaped", r'{"s":"\u007f"}'),
    ("markup is not escaped", '{"s":"<a href=\'x\'>&amp;</a>"}'),
    ("line separators are not escaped", r'{"s":"\u2028\u2029"}'),
    ("two forms of one letter stay two names", r'{"\u00e9":1,"e\u0301":2}'),
    ("a character beyond the BMP, escaped", r'{"s":"\ud83d\ude00"}'),
    ("a character beyond the BMP, as it is", '{"s":"\U0001f600"}'),
    ("names beyond the BMP sort before U+E000", r'{"\ue000":1,"\ud83d\ude00":2}'),
    ("names beyond the BMP sort after U+D7FF", r'{"\ud83d\ude00":1,"\ud7ff":2}'),
    ("names beyond the BMP sort before U+FFFD", r'{"\ufffd":1,"\udbff\udfff":2,"\ud800\udc00":3}'),
    (
        "the names of RFC 8785, section 3.2.3",
        r'{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",'
        r'"\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}',
    ),
    ("noncharacters are characters", r'{"s":"\uffff\ufdd0"}'),
    ("the digest is not content", '{"type":"CaseOpened","digest":"00"}'),
    (
        "clock, trace and places are not content",
        '{"type":"CaseOpened","occurred_at":"2026-07-01T08:00:00Z","trace":{"traceparent":"00"},"storage_refs":{"a":1}}',
    ),
    (
        "their names further down are content",
        '{"payload":{"digest":"00","occurred_at":"x","trace":{},"storage_refs":{}}}',
    ),
    ("an unknown field is content", '{"type":"CaseOpened","added_later":{"x":[true,"\\u00fc"]}}'),
    ("the deepest nesting", _DEEPEST),
    ("a whole event", _EVENT),
)

REJECTED_INPUTS: tuple[tuple[str, str], ...] = (
    ("a fraction", '{"n":1.5}'),
    ("a fraction of zero", '{"n":1.0}'),
    ("an exponent", '{"n":1e3}'),
    ("minus zero", '{"n":-0}'),
    ("not a number", '{"n":NaN}'),
    ("infinity", '{"n":-Infinity}'),
    ("an integer one too large", '{"n":9007199254740992}'),
    ("an integer one too small", '{"n":-9007199254740992}'),
    ("an integer of thousands of digits", '{"n":' + "9" * 5_000 + "}"),
    ("a leading zero", '{"n":01}'),
    ("a name twice", '{"a":1,"a":1}'),
    ("a name twice, once escaped", r'{"a":1,"\u0061":2}'),
    ("a name twice, deep down", '{"a":[{"b":1,"b":2}]}'),
    ("NUL in a value", r'{"s":"a\u0000"}'),
    ("NUL in a name", r'{"\u0000":1}'),
    ("NUL as it is", '{"s":"\x00"}'),
    ("a control character as it is", '{"s":"a\nb"}'),
    ("a lone high surrogate", r'{"s":"\ud83d"}'),
    ("a lone low surrogate", r'{"s":"\ude00"}'),
    ("surrogates the wrong way round", r'{"s":"\ude00\ud83d"}'),
    ("a lone surrogate in a name", r'{"\ud83d":1}'),
    ("an array", "[1]"),
    ("a string", '"a"'),
    ("an integer", "1"),
    ("null", "null"),
    ("nothing", ""),
    ("two objects", "{}{}"),
    ("text after the object", "{} x"),
    ("a trailing comma", '{"a":1,}'),
    ("a comment", '{"a":1/* one */}'),
    ("single quotes", "{'a':1}"),
    ("a byte order mark", "\ufeff{}"),
    ("nesting one too deep", '{"a":' + _DEEPEST + "}"),
    ("arrays one too deep", '{"a":' + "[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH + "}"),
    ("arrays beyond any parser", '{"a":' + "[" * 2_000 + "]" * 2_000 + "}"),
)
