"""What the first block of the local chain holds: every actor funded, staked and with its public key known."""

from typing import Callable

SERVICES = ["svc-http", "svc-ws", "svc-grpc", "svc-rest", "svc-comet"]
RPC_TYPES = {"JSON_RPC": "http", "REST": "http", "WEBSOCKET": "ws", "GRPC": "http", "COMET_BFT": "http"}
MODULE_ACCOUNTS = {
    "application": "pokt1rl3gjgzexmplmds3tq3r3yk84zlwdl6djzgsvm",
    "supplier": "pokt1j40dzzmn6cn9kxku7a5tjnud6hv37vesr5ccaa",
    "gateway": "pokt1f6j7u6875p2cvyrgjr0d2uecyzah0kget9vlpl",
}
GATEWAY_STAKE = 2_000_000
BALANCE = 1_000_000_000_000


def coin(amount: int | str) -> dict:
    return {"denom": "upokt", "amount": str(amount)}


def names(setting: Callable[[str], str]) -> list[str]:
    """Every actor: a label from which its key is derived."""
    apps, suppliers = (range(1, int(setting(kind)) + 1) for kind in ("APPS", "SUPPLIERS"))
    return ["validator", "dao", "owner", "gateway1", *[f"app{i}" for i in apps], *[f"supplier{i}" for i in suppliers]]


def fill(state: dict, actors: dict[str, dict], setting: Callable[[str], str]) -> None:
    """Puts actors and parameters into the application state that the node wrote."""
    address = {name: actor["address"] for name, actor in actors.items()}
    suppliers = [name for name in actors if name.startswith("supplier")]
    apps = [name for name in actors if name.startswith("app")]
    fill_accounts(state, actors, {
        "application": int(setting("APP_STAKE")) * len(apps),
        "supplier": int(setting("SUPPLIER_STAKE")) * len(suppliers),
        "gateway": GATEWAY_STAKE,
    })

    state["service"]["service_list"] = [
        {"id": service, "name": service, "compute_units_per_relay": setting("COMPUTE_UNITS"), "owner_address": address["owner"]}
        for service in SERVICES
    ]
    state["gateway"]["gateway_list"] = [{"address": address["gateway1"], "stake": coin(GATEWAY_STAKE)}]
    state["application"]["application_list"] = [
        {
            "address": address[name],
            "stake": coin(setting("APP_STAKE")),
            "service_configs": [{"service_id": SERVICES[i % len(SERVICES)]}],
            "delegatee_gateway_addresses": [address["gateway1"]] if setting("DELEGATE") == "1" else [],
        }
        for i, name in enumerate(apps)
    ]
    state["supplier"]["supplierList"] = [supplier(address[name], setting) for name in suppliers]
    fill_params(state, setting)
    state["tokenomics"]["params"]["dao_reward_address"] = address["dao"]


def fill_accounts(state: dict, actors: dict[str, dict], stakes: dict[str, int]) -> None:
    """Accounts with their public keys, balances, and the stakes in the modules' accounts."""
    state["auth"]["accounts"] = [
        {
            "@type": "/cosmos.auth.v1beta1.BaseAccount",
            "address": actor["address"],
            "account_number": str(number),
            "sequence": "0",
            "pub_key": {"@type": "/cosmos.crypto.secp256k1.PubKey", "key": actor["public_key"]},
        }
        for number, actor in enumerate(actors.values())
    ]
    balances = {actor["address"]: BALANCE for actor in actors.values()}
    balances |= {MODULE_ACCOUNTS[module]: amount for module, amount in stakes.items()}
    state["bank"]["balances"] = [{"address": address, "coins": [coin(amount)]} for address, amount in balances.items()]
    state["bank"]["supply"] = [coin(sum(balances.values()))]


def supplier(address: str, setting: Callable[[str], str]) -> dict:
    """A supplier of every service over every transport, all at the relayer's address."""
    endpoints = [{"url": f"{scheme}://{setting('RELAYER')}", "rpc_type": kind, "configs": []} for kind, scheme in RPC_TYPES.items()]
    share = [{"address": address, "rev_share_percentage": "100"}]
    return {
        "owner_address": address,
        "operator_address": address,
        "stake": coin(setting("SUPPLIER_STAKE")),
        "services": [{"service_id": service, "endpoints": endpoints, "rev_share": share} for service in SERVICES],
    }


def fill_params(state: dict, setting: Callable[[str], str]) -> None:
    """Short sessions and windows, and no inflation."""
    session, claim_window, proof_window = (int(setting(name)) for name in ("SESSION_BLOCKS", "CLAIM_WINDOW", "PROOF_WINDOW"))
    # The chain insists that nobody can leave before the claims of the last session are settled.
    unbonding = str(max(1, -(-(1 + claim_window + proof_window) // session)))
    state["shared"]["params"] |= {
        "num_blocks_per_session": str(session),
        "grace_period_end_offset_blocks": "1",
        "claim_window_open_offset_blocks": "1",
        "claim_window_close_offset_blocks": str(claim_window),
        "proof_window_open_offset_blocks": "0",
        "proof_window_close_offset_blocks": str(proof_window),
        "supplier_unbonding_period_sessions": unbonding,
        "application_unbonding_period_sessions": unbonding,
        "gateway_unbonding_period_sessions": unbonding,
        "compute_units_to_tokens_multiplier": "100",
        "compute_unit_cost_granularity": "1",
    }
    state["proof"]["params"] |= {
        "proof_request_probability": float(setting("PROOF_PROBABILITY")),
        "proof_requirement_threshold": coin(setting("PROOF_THRESHOLD")),
    }
    state["service"]["params"]["target_num_relays"] = setting("TARGET_RELAYS")
    state["mint"]["params"] |= {"mint_denom": "upokt", "inflation_max": "0.0", "inflation_min": "0.0", "inflation_rate_change": "0.0"}
    state["crisis"]["constant_fee"] = coin(1000)
