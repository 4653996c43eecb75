"""What Go's grpc-gateway answers, request by request: taken from its example servers."""

E = "/v1/example"
ECHO = '{{"id":"{}","num":"{}","status":null,"resourceId":"","nId":null}}'
FORM = "Content-Type: application/x-www-form-urlencoded"


def status(code: int, message: str) -> str:
    return f'{{"code":{code},"message":"{message}","details":[]}}'


NOT_ALLOWED, NOT_FOUND = status(12, "Method Not Allowed"), status(5, "Not Found")
EMPTY_ECHO = ECHO.format("", 0)
DETAILS = (
    '{"code":2,"message":"with details","details":[{"@type":"type.googleapis.com/google.rpc.DebugInfo",'
    '"stackEntries":["foo:1"],"detail":"error debug details"}]}'
)
STREAM_ERROR = '{"error":{"code":3,"message":"error","details":[]}}\n'
BAD_NUMBER = 'strconv.ParseInt: parsing \\"{}\\": invalid syntax'
BOGUS = 'could not find field \\"bogus\\" in \\"grpc.gateway.examples.internal.proto.examplepb.ABitOfEverything\\"'

# request line | headers | body -> status | headers that must be there | body
VECTORS: list[tuple[str, tuple[str, ...], str, int, tuple[str, ...], str]] = [
    (f"GET {E}/echo/myid", (), "", 501, ("content-type: application/json",), NOT_ALLOWED),
    (f"OPTIONS {E}/echo/a/1", (), "", 501, (), NOT_ALLOWED),
    (f"HEAD {E}/echo/a/1", (), "", 501, (), ""),
    ("GET /nope", (), "", 404, ("content-type: application/json",), NOT_FOUND),
    (
        f"GET {E}/checkStatus",
        (),
        "",
        200,
        ("grpc-metadata-content-type: application/grpc",),
        '{"status":{"code":0,"message":"","details":[]}}',
    ),
    ("GET /v2/example/errorwithdetails", (), "", 500, (), DETAILS),
    (
        f"GET {E}/a_bit_of_everything?error=true",
        (),
        "",
        400,
        ("grpc-metadata-count: 0", "transfer-encoding: chunked", "content-type: application/json"),
        STREAM_ERROR,
    ),
    (f"GET {E}/a_bit_of_everything", (), "", 200, ("grpc-metadata-count: 0", "transfer-encoding: chunked"), ""),
    (
        f"POST {E}/echo_body",
        (),
        "{bad",
        400,
        (),
        status(3, "invalid character 'b' looking for beginning of object key string"),
    ),
    (
        f"POST {E}/echo_body",
        (),
        '{"a":tru}',
        400,
        (),
        status(3, "invalid character '}' in literal true (expecting 'e')"),
    ),
    (f"POST {E}/echo_body", (), '{"a":1', 400, (), status(3, "unexpected EOF")),
    (f"POST {E}/echo_body", (), "", 200, ("grpc-metadata-foo: foo1", "grpc-metadata-bar: bar1"), EMPTY_ECHO),
    (f"POST {E}/echo_body?id=ignored", ("Content-Type: text/weird",), '{"id":"a"} x', 200, (), ECHO.format("a", 0)),
    (
        f"POST {E}/echo_body",
        ("TE: trailers",),
        "",
        200,
        ("trailer: Grpc-Trailer-Foo", "trailer: Grpc-Trailer-Bar", "transfer-encoding: chunked"),
        EMPTY_ECHO + "|grpc-trailer-foo: foo2|grpc-trailer-bar: bar2",
    ),
    ("PATCH /v2/example/a_bit_of_everything/x", (), '{"bogus":1}', 400, (), status(3, BOGUS)),
    (
        f"GET {E}/echo/nested/x?zzz=1&status.zzz=2",
        (),
        "",
        200,
        (),
        '{"id":"","num":"0","status":{},"resourceId":"","nId":{"nId":"x","val":""}}',
    ),
    (f"GET {E}/echo/nested/x?num=1&num=2", (), "", 400, (), status(3, 'too many values for field \\"num\\": 1, 2')),
    (
        f"GET {E}/echo/nested/x?num=abc",
        (),
        "",
        400,
        (),
        status(3, f'parsing field \\"num\\": {BAD_NUMBER.format("abc")}'),
    ),
    (
        f"GET {E}/echo/nested/x?num=0x10",
        (),
        "",
        400,
        (),
        status(3, f'parsing field \\"num\\": {BAD_NUMBER.format("0x10")}'),
    ),
    (f"GET {E}/echo/nested/x?lang=a&line_num=3", (), "", 400, (), status(3, 'field already set for oneof \\"code\\"')),
    (f"GET {E}/echo/nested/x?a;b=1", (), "", 400, (), status(3, "invalid semicolon separator in query")),
    (f"GET {E}/echo/nested/x?num=%zz", (), "", 400, (), status(3, 'invalid URL escape \\"%zz\\"')),
    (f"GET {E}/echo/nested/x?num.y=1", (), "", 400, (), status(3, 'invalid path: \\"num\\" is not a message')),
    (f"GET {E}/echo/a/010", (), "", 200, (), ECHO.format("a", 10)),
    (
        f"GET {E}/echo/a/0x10",
        (),
        "",
        400,
        (),
        status(3, f"type mismatch, parameter: num, error: {BAD_NUMBER.format('0x10')}"),
    ),
    (
        f"GET {E}/echo/resource/a%2Fb",
        (),
        "",
        400,
        (),
        status(3, f"type mismatch, parameter: num, error: {BAD_NUMBER.format('a')}"),
    ),
    (
        f"POST {E}/echo/resource/r",
        (FORM, "X-HTTP-Method-Override: GET"),
        "num=7",
        200,
        (),
        '{"id":"","num":"7","status":null,"resourceId":"r","nId":null}',
    ),
    (
        f"POST {E}/echo/resource/r",
        (f"{FORM}; charset=utf-8", "X-HTTP-Method-Override: GET"),
        "num=7",
        501,
        (),
        NOT_ALLOWED,
    ),
    (f"POST {E}/echo/i", (f"{FORM}; charset=utf-8",), "num=7", 200, (), ECHO.format("i", 7)),
    (
        f"GET {E}/echo_unauthorized",
        (),
        "",
        401,
        ("www-authenticate: unauthorized err",),
        status(16, "unauthorized err"),
    ),
    (
        f"POST {E}/a_bit_of_everything/echo",
        (),
        '{"value":"a"}{"value":"b<"} "x"',
        200,
        ("transfer-encoding: chunked", "grpc-metadata-foo: foo1"),
        '{"result":{"value":"a"}}\n{"result":{"value":"b\\u003c"}}\n',
    ),
    (
        f"POST {E}/a_bit_of_everything/bulk",
        (),
        '[{"uuid":"1"}]',
        400,
        (),
        status(3, "proto: syntax error (line 1:1): unexpected token ["),
    ),
    (f"POST {E}/a_bit_of_everything/bulk", (), '{"uuid":"1"}\n{}{}', 200, ("grpc-metadata-count: 3",), "{}"),
    (f"POST {E}/a_bit_of_everything/bulk", (), '{"uuid":"1"}{', 400, (), status(3, "unexpected EOF")),
    (
        f"POST {E}/a_bit_of_everything/bulk",
        ("Grpc-Metadata-Error: some",),
        '{"uuid":"1"}',
        400,
        (),
        status(3, "error metadata"),
    ),
    (
        f"GET {E}/download?error=true",
        (),
        "",
        200,
        ("content-type: text/html", "transfer-encoding: chunked"),
        f"Hello 1\nHello 2\n{STREAM_ERROR}",
    ),
    (
        f"GET {E}/echo/a/1",
        ("Grpc-Metadata-Foo-Bin: !!",),
        "",
        400,
        (),
        status(3, "invalid binary header Grpc-Metadata-Foo-Bin: illegal base64 data at input byte 0"),
    ),
    (f"GET {E}/echo/a/1", ("Grpc-Timeout: x",), "", 400, (), status(3, "invalid grpc-timeout: x")),
    (f"GET {E}/echo/a%zz/1", (), "", 400, ("content-type: text/plain; charset=utf-8",), "400 Bad Request"),
    ("GET /s/a%2Fb", (), "", 404, (), NOT_FOUND),
    ("GET /m/a%2Fb/c%23d", (), "", 200, (), ECHO.format("a/b/c#d", 0)),
    ("GET /s/100%25", (), "", 200, (), ECHO.format("100%", 0)),
    ("GET /s/a%252Fb", (), "", 200, (), ECHO.format("a%2Fb", 0)),
    ("GET /s/x:y", (), "", 200, (), ECHO.format("x:y", 0)),
    ("GET /v/:act", (), "", 404, (), NOT_FOUND),
    ("GET /v/x:act", (), "", 200, (), ECHO.format("x", 0)),
    ("GET /m", (), "", 200, (), EMPTY_ECHO),
    ("GET /d/a/b/tail", (), "", 200, (), ECHO.format("a/b", 0)),
    ("GET /s/a/", (), "", 404, (), NOT_FOUND),
    (f"DELETE {E}/echo_delete", (), '{"id":"ignored"}', 200, (), EMPTY_ECHO),
    (
        f"PATCH {E}/echo_patch",
        (),
        '{"structField":{"struct_key":{"layered":"x"}},"valueField":1}',
        200,
        (),
        (
            '{"body":{"structField":{"struct_key":{"layered":"x"}},"valueField":1},'
            '"updateMask":"structField.structKey.layered,valueField"}'
        ),
    ),
    (f"PATCH {E}/echo_patch", (), "", 200, (), '{"body":{"structField":null,"valueField":null},"updateMask":""}'),
    (
        f"PATCH {E}/echo_patch?update_mask=a",
        (),
        "{}",
        200,
        (),
        '{"body":{"structField":null,"valueField":null},"updateMask":"a"}',
    ),
    (
        f"GET {E}/everything/u?duration_value=1h30m&words=a,b&words=c&map_value[k]=v",
        (),
        "",
        200,
        (),
        '{"uuid":"u","durationValue":"5400s","words":["a,b","c"],"mapValue":{"k":"v"}}',
    ),
    (
        f"GET {E}/everything/u?durationValue=x",
        (),
        "",
        400,
        (),
        status(3, 'parsing field \\"duration_value\\": time: invalid duration \\"x\\"'),
    ),
    ("POST /plain/number", (), "7", 200, (), "7"),
    ("POST /plain/number", (), '"7"', 400, (), status(3, "json: cannot unmarshal string into Go value of type int64")),
    ("POST /plain/kind", (), "1", 200, (), '"ONE"'),
    ("POST /plain/kind", (), '"ONE"', 400, (), ""),
    ("POST /plain/texts", (), '["a","<"]', 200, (), '["a","\\u003c"]'),
    ("POST /plain/texts", (), "", 200, (), "[]"),
    ("POST /plain/many", (), '[{"note":"n"},{}]', 200, (), '[{"note":"n"},{}]'),
    ("POST /plain/embedded", (), '{"note":"n"}', 200, (), '{"note":"n"}'),
    ("POST /plain/raw", (), '"YWI="', 200, (), '"YWI="'),
    ("POST /plain/raw", (), "", 200, (), "[]"),
    ("POST /plain/text", (), "5", 400, (), status(3, "json: cannot unmarshal number into Go value of type string")),
]
