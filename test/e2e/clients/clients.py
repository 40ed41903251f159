"""Runs in an enclave: clients that know nothing of it, against KMS and the world outside. One line of JSON for each result."""

import base64
import json
import os
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.config
import botocore.exceptions

plan = json.load(open("/app/plan.json"))
ENDPOINT = os.environ["AWS_KMS_ENDPOINT"]


def say(client, case, **result):
    print(json.dumps({"client": client, "case": case, **result}, default=str), flush=True)


def boto(call):
    """One call with boto3, as the plan has it."""
    client = boto3.client("kms", region_name=call["region"], endpoint_url=ENDPOINT, config=botocore.config.Config(retries={"total_max_attempts": 1}))
    arguments = {name: base64.b64decode(value) if name in plan["binary"] else value for name, value in call["arguments"].items()}
    method = getattr(client, "".join("_" + letter.lower() if letter.isupper() else letter for letter in call["action"]).lstrip("_"))
    try:
        answer = method(**arguments)
    except botocore.exceptions.ClientError as error:
        return {"error": error.response["Error"]["Code"]}
    answer.pop("ResponseMetadata")
    return {"answer": {name: base64.b64encode(value).decode() if isinstance(value, bytes) else value for name, value in answer.items()}}


def aws(call):
    """The same with AWS's command line, which takes and gives bytes as base64."""
    dashed = "".join("-" + letter.lower() if letter.isupper() else letter for letter in call["action"]).lstrip("-")
    command = ["aws", "kms", dashed, "--endpoint-url", ENDPOINT, "--region", call["region"], "--no-cli-pager", "--output", "json", "--cli-input-json", json.dumps(call["arguments"])]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""})
    if done.returncode == 0:
        return {"answer": json.loads(done.stdout)}
    named = done.stderr.split("An error occurred (")
    return {"error": named[1].split(")")[0] if len(named) > 1 else done.stderr}


def seal(register):
    """Extends a register by the attestation API, and locks it: documents have it from then on."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps({"data": base64.b64encode(b"measured by the app").decode()}).encode()
    for step, data in (("extend", body), ("lock", b"")):
        url = f"{os.environ['ENCLAVER_API']}/v1/pcrs/{register}/{step}"
        answer = json.load(opener.open(urllib.request.Request(url, data=data, method="POST")))
    return answer


def python_get(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return f"{response.status} {response.read().decode()}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read().decode()}"
    except OSError as error:
        return str(error)


def program(*command):
    def get(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip()

    return get


FETCHERS = {
    "curl": program("curl", "--silent", "--show-error", "--max-time", "60", "--write-out", " %{http_code}"),
    "wget": program("wget", "--no-verbose", "--output-document=-", "--timeout=60", "--tries=1"),
    "python": python_get,
    "go": program("go-fetch"),
}


def fetch(way):
    for name, get in FETCHERS.items():
        for url in plan["urls"]:
            say(name, f"{way} {url}", text=get(url))


PROGRAMS = {
    "python": ["python3", "/app/decrypt.py"],
    "node": ["node", "/app/decrypt.mjs"],
    "go": ["go-kms"],
    "ruby": ["ruby", "/app/decrypt.rb"],
}


for call in plan["calls"]:
    if "seal" in call:
        say("api", "seal", register=seal(call["seal"]))
        continue
    say("boto3", call["case"], **boto(call))
say("boto3", "done")
fetch("proxy")
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(name)
fetch("transparent")
# Most of what these take is to start; each is a process of its own
with ThreadPoolExecutor(os.cpu_count()) as pool:
    sdk = pool.submit(subprocess.run, ["node", "/app/sdk.cjs"], check=True)
    calls = [call for call in plan["calls"] if "seal" not in call and call.get("once") is None]
    for call, result in zip(calls, pool.map(aws, calls)):
        say("aws", call["case"], **result)
    for name, text in zip(PROGRAMS, pool.map(lambda command: program(*command)(), PROGRAMS.values())):
        say(name, "decrypt", text=text)
    sdk.result()
say("all", "done")
