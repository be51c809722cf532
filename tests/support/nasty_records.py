"""Values that broke parsers elsewhere, by name, and what has to become of each on the events topic.

After the JSON parsing minefield (seriot.ch), the Big List of Naughty Strings, and what the limits of the wire
contract invite. The second part is the code of the dead letter, or the outcome of a record that is a good one.
"""

from __future__ import annotations

BEAT = b'{"type":"status_update","agent_id":"%b","status":"idle"%b}'


def beat(agent_id: bytes = b"a1", more: bytes = b"") -> bytes:
    return BEAT % (agent_id, more)


NASTY: dict[str, tuple[bytes | None, str]] = {
    # -- no JSON
    "no value": (None, "bytes"),
    "empty": (b"", "bytes"),
    "one zero byte": (b"\0", "bytes"),
    "spaces": (b" " * 1_000, "bytes"),
    "a byte order mark": (b"\xef\xbb\xbf" + beat(), "bytes"),
    "UTF-16": (beat().decode().encode("utf-16"), "bytes"),
    "UTF-32": (beat().decode().encode("utf-32"), "bytes"),
    "overlong UTF-8": (beat(b"a\xc0\xaf"), "bytes"),
    "a surrogate in UTF-8": (beat(b"a\xed\xa0\x80"), "bytes"),
    "a lone surrogate, escaped": (beat(b"a\\ud800"), "bytes"),
    "UTF-8 cut off": (beat(b"a\xe2\x82"), "bytes"),
    "a zero byte in a string": (beat(b"a\0"), "bytes"),
    "a raw newline in a string": (beat(b"a\n"), "bytes"),
    "a bad escape": (beat(b"a\\x41"), "bytes"),
    "cut off": (beat()[:-1], "bytes"),
    "twice": (beat() * 2, "bytes"),
    "a zero byte behind": (beat() + b"\0", "bytes"),
    "a comma too many": (beat()[:-1] + b",}", "bytes"),
    "a comment": (b"/* hello */" + beat(), "bytes"),
    "single quotes": (beat().replace(b'"', b"'"), "bytes"),
    "not a number": (beat(more=b',"current_load":NaN'), "bytes"),
    "infinity": (beat(more=b',"current_load":-Infinity'), "bytes"),
    "a hexadecimal number": (beat(more=b',"seq":0x1'), "bytes"),
    "a leading zero": (beat(more=b',"seq":01'), "bytes"),
    "a plus sign": (beat(more=b',"seq":+1'), "bytes"),
    "a repeated key": (beat(more=b',"status":"idle"'), "bytes"),
    "a repeated key, escaped": (beat(more=b',"st\\u0061tus":"busy"'), "bytes"),
    "a repeated key deep inside": (beat(more=b',"x":[{"a":1,"a":2}]'), "bytes"),
    "an integer of 5,000 digits": (beat(more=b',"seq":' + b"9" * 5_000), "bytes"),
    "a hundred thousand brackets": (b"[" * 100_000, "bytes"),
    "a hundred thousand braces": (b'{"a":' * 100_000, "bytes"),
    "pickled": (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.", "bytes"),
    "gzipped": (b"\x1f\x8b\x08\x00" + bytes(40), "bytes"),
    "Avro of a schema registry": (b"\0\0\0\0\x01\x02a", "bytes"),
    # -- JSON, beyond the limits
    "balanced brackets, deep": (b'{"x":' + b"[" * 900 + b"]" * 900 + b"}", "limits"),
    "33 levels": (b'{"x":' + b"[" * 32 + b"]" * 32 + b"}", "limits"),
    "an integer above 2^53": (beat(more=b',"x":9007199254740993'), "limits"),
    "an integer of 30 digits": (beat(more=b',"x":' + b"9" * 30), "limits"),
    "a negative integer of 300 digits": (beat(more=b',"seq":-' + b"9" * 300), "limits"),
    "a megabyte and one byte": (beat().ljust((1 << 20) + 1), "limits"),
    # -- JSON, and no event
    "null": (b"null", "schema"),
    "a string": (b'"status_update"', "schema"),
    "a number": (b"1e9", "schema"),
    "an array of a good event": (b"[" + beat() + b"]", "schema"),
    "an empty object": (b"{}", "schema"),
    "a type that is a list": (b'{"type":["status_update"]}', "unknown_type"),
    "a type in capitals": (beat().replace(b"status_update", b"STATUS_UPDATE"), "unknown_type"),
    "a type with a zero byte": (beat().replace(b"status_update", b"status_update\\u0000"), "unknown_type"),
    "an event of the fleet log": (b'{"type":"agent_lost","agent_id":"a1"}', "unknown_type"),
    "an id of nothing": (beat(b""), "schema"),
    "an id that climbs": (beat(b"../../etc/passwd"), "schema"),
    "an id with a slash": (beat(b"default/a1"), "schema"),
    "an id that runs right to left": (beat("a\u202e1".encode()), "schema"),
    "an id of full-width letters": (beat("ａ１".encode()), "schema"),
    "an id of combining marks": (beat(("a" + "\u0301" * 64).encode()), "schema"),
    "an id of 129 letters": (beat(b"a" * 129), "schema"),
    "an id that is a number": (beat().replace(b'"a1"', b"1"), "schema"),
    "an id that injects SQL": (beat(b"a'; DROP TABLE agents;--"), "schema"),
    "an id that injects a log line": (beat(b"a1\\nERROR forged"), "schema"),
    "a status that is true": (beat().replace(b'"idle"', b"true"), "schema"),
    "a load below zero": (beat(more=b',"current_load":-0.001'), "schema"),
    "a load that overflows": (beat(more=b',"current_load":1e400'), "bytes"),
    "a counter that is true": (beat(more=b',"seq":true'), "schema"),
    "a counter below zero": (beat(more=b',"seq":-1'), "schema"),
    "a counter with a fraction": (beat(more=b',"seq":1.5'), "schema"),
    "a time before all time": (beat(more=b',"time":-1e300'), "schema"),
    "a time after all time": (beat(more=b',"time":1e300'), "schema"),
    "a time that is no day": (beat(more=b',"time":"2026-02-30T00:00:00Z"'), "schema"),
    "a metric without a name": (b'{"type":"metric_report","agent_id":"a1","metrics":{"":1}}', "schema"),
    "257 metrics": (
        b'{"type":"metric_report","agent_id":"a1","metrics":{%b}}'
        % b",".join(b'"m%d":1' % number for number in range(257)),
        "schema",
    ),
    "257 capabilities": (beat(more=b',"capabilities":[%b]' % b",".join([b'"c"'] * 257)), "schema"),
    "a payload above 64 KiB": (
        b'{"type":"task_submitted","task_id":"t1","payload":"%b"}' % (b"x" * 65_600),
        "schema",
    ),
    # -- good ones, however they look
    "a good one": (beat(), "applied"),
    "a good one of just a megabyte": (beat().ljust(1 << 20), "applied"),
    "a good one, all escapes": (
        beat().replace(b"a1", b"\\u0061\\u0031").replace(b"idle", b"\\u0069\\u0064le"),
        "applied",
    ),
    "a good one with blanks": (beat().replace(b",", b"\t\r\n ,\n"), "applied"),
    "a good one with strange fields": (beat(more=b',"__proto__":{},"constructor":null,"":0'), "applied"),
    "a good one with emoji of many parts": (beat(more=',"x":"👩‍👩‍👧‍👦🏴󠁧󠁢󠁳󠁣󠁴󠁿"'.encode()), "applied"),
    "a good one with a float of many digits": (beat(more=b',"current_load":0.' + b"3" * 5_000), "applied"),
    "a good one with the smallest float": (beat(more=b',"current_load":5e-324'), "applied"),
    "a good one with minus zero": (beat(more=b',"current_load":-0.0'), "applied"),
    "a tick that says much": (b'{"type":"clock_ticked","time":"never","partition":-1}', "tick"),
}
