"""ThreeScalePY, one call for each line of JSON on standard input, answered with a line on standard output.

usage: client.py ADDRESS
"""

import json
import sys
import time

import ThreeScalePY

backend = sys.argv[1]


def usage_of(response):
    return {
        f"{report.get_metric()}/{report.get_period()}": [int(report.get_current_value()), int(report.get_max_value())]
        for report in response.get_usage_reports()
    }


def authorize(call, who):
    kind = ThreeScalePY.ThreeScaleAuthorizeUserKey if "user_key" in who else ThreeScalePY.ThreeScaleAuthorize
    client = kind(**who, **call["credentials"], backend_uri=backend)
    authorized = client.authorize(usage=call["usage"])
    response = client.build_auth_response()
    return {
        "authorized": authorized,
        "reason": response.get_reason(),
        "plan": response.get_plan(),
        "usage": usage_of(response),
    }


def authrep(call, who):
    kind = ThreeScalePY.ThreeScaleAuthRepUserKey if "user_key" in who else ThreeScalePY.ThreeScaleAuthRep
    client = kind(**who, **call["credentials"], backend_uri=backend)
    authorized = client.authrep(call["usage"], log={"code": 200})
    return {"authorized": authorized, "reason": client.build_response().get_reason()}


def report(call, who):
    client = ThreeScalePY.ThreeScaleReport(**call["credentials"], backend_uri=backend)
    transaction = {**who, "usage": call["usage"], "timestamp": time.gmtime()}
    return {"authorized": client.report([transaction])}


calls = {"authorize": authorize, "authrep": authrep, "report": report}
for line in sys.stdin:
    call = json.loads(line)
    try:
        answer = calls[call["call"]](call, call["application"])
    except ThreeScalePY.ThreeScaleException as error:
        answer = {"raised": str(error)}
    print(json.dumps(answer), flush=True)
