"""A client that was generated from the OpenAPI description of a server uses it: `tests/clients/run`."""

import sys
from io import BytesIO

from mikobase_client import Client
from mikobase_client.api.default import by_class, create_one, post_files, post_q0, properties, record_by_pk
from mikobase_client.models import (
    Failure, ParamsByClass, ParamsCreateOne, ParamsRecordByPk, PostQ0Body, SentRecord
)
from mikobase_client.types import File

client = Client(base_url=sys.argv[1])
assert properties.sync(client=client).temporal is False

OFFICER = "starfleet.com/officer"
pk = create_one.sync(client=client, body=ParamsCreateOne(class_=OFFICER, bucket={"name": "Kirk"}))
assert isinstance(pk, str), pk
record = record_by_pk.sync(client=client, body=ParamsRecordByPk(pk=pk))
assert isinstance(record, SentRecord) and record.bucket["name"] == "Kirk", record
assert pk in [record.pk for record in by_class.sync(client=client, body=ParamsByClass(class_=OFFICER))]

refused = create_one.sync(client=client, body=ParamsCreateOne(class_="officer", bucket={}))
assert isinstance(refused, Failure) and refused.errors[0].id == "invalid_request", refused

select = PostQ0Body.from_dict({"action": "select", "class": OFFICER})
assert post_q0.sync_detailed(client=client, body=select).status_code == 200
assert post_files.sync_detailed(client=client, body=File(BytesIO(b"make it so"))).status_code == 201
print("the generated client creates, reads and is refused")
