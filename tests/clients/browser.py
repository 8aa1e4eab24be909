"""A page in a browser follows changes by `EventSource`, and creates a record: `tests/clients/run`.

browser.py PORT_OF_PAGE URL_OF_SERVER BROWSER: serves the page, opens it in the browser, and waits for what it
tells.
"""

import http.server
import json
import subprocess
import sys
import tempfile
import threading

PAGE = """<!doctype html><script>
const told = [], server = %s;
const tell = what => fetch("/told", {method: "POST", body: JSON.stringify(what)});
const changes = new EventSource(server + "/changes?target=a.b/seen&snapshot=true");
changes.onerror = () => tell({error: "the stream has failed"});
changes.onmessage = async event => {
    const change = JSON.parse(event.data);
    told.push(change.kind);
    if (change.kind == "synced") {
        const body = JSON.stringify({class: "a.b/seen", bucket: {"by": "a page"}});
        const sent = {method: "POST", headers: {"Content-Type": "application/json"}, body};
        await fetch(server + "/call/create_one", sent);
    } else if (change.kind == "create") {
        changes.close();
        tell({told, by: change.record.bucket.by, id: event.lastEventId, seq: change.seq});
    }
};
</script>"""

port, server, browser = int(sys.argv[1]), sys.argv[2], sys.argv[3]
told, was_told = [], threading.Event()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer((PAGE % json.dumps(server)).encode(), "text/html")

    def do_POST(self):
        told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(b"", "text/plain")
        was_told.set()

    def answer(self, body, mime):
        self.send_response(200)
        self.send_header("Content-Type", mime)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


pages = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
threading.Thread(target=pages.serve_forever, daemon=True).start()
# The processes of a browser that is killed may write for a moment.
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    shown = subprocess.Popen([browser, *options, f"http://127.0.0.1:{port}/"], stderr=subprocess.DEVNULL)
    try:
        assert was_told.wait(60), "the page has told nothing"
    finally:
        shown.kill()
        shown.wait()
seen = told[0]
assert seen["told"] == ["synced", "create"] and seen["by"] == "a page", seen
assert seen["id"] == str(seen["seq"]), seen
print("a page in a browser creates a record and follows changes")
