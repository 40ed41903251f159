"""Signs requests as botocore does: one JSON object a line in, the headers of the signed request a line out."""

import base64
import json
import sys

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

for line in sys.stdin:
    asked = json.loads(line)
    request = AWSRequest(
        method=asked["method"],
        url="https://" + asked["headers"]["host"] + asked["url"],
        headers=asked["headers"],
        data=base64.b64decode(asked["body"]),
    )
    credentials = Credentials(asked["accessKeyId"], asked["secretAccessKey"], asked.get("sessionToken"))
    SigV4Auth(credentials, "kms", asked["region"]).add_auth(request)
    print(json.dumps({name.lower(): value for name, value in request.headers.items()}), flush=True)
