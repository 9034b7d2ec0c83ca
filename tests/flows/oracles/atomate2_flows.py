"""atomate2's VASP flows as they are, on mock-vasp."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure

from tests.flows.oracles.mock_vasp.machine import COMMAND

_PROMPT = {
    "_set": {
        "run_vasp_kwargs->vasp_cmd": COMMAND,
        "run_vasp_kwargs->vasp_gamma_cmd": COMMAND,
        "run_vasp_kwargs->custodian_kwargs": {"polling_time_step": 0.1, "monitor_freq": 100},
    }
}


def _double_relax_static() -> Any:
    from atomate2.vasp.flows.core import DoubleRelaxMaker
    from atomate2.vasp.flows.mp import MPGGADoubleRelaxStaticMaker
    from atomate2.vasp.jobs.core import StaticMaker

    return MPGGADoubleRelaxStaticMaker(relax_maker=DoubleRelaxMaker(), static_maker=StaticMaker())


def _mp_gga() -> Any:
    from atomate2.vasp.flows.mp import MPGGADoubleRelaxStaticMaker

    return MPGGADoubleRelaxStaticMaker()


def _mp_metagga() -> Any:
    from atomate2.vasp.flows.mp import MPMetaGGADoubleRelaxStaticMaker

    return MPMetaGGADoubleRelaxStaticMaker()


def _phonon(born: bool) -> Any:
    from atomate2.vasp.flows.phonons import PhononMaker

    maker = PhononMaker(min_length=5.0)
    if not born:
        maker.born_maker = None
    return maker


def _elastic() -> Any:
    from atomate2.vasp.flows.elastic import ElasticMaker

    return ElasticMaker()


def _eos() -> Any:
    from atomate2.vasp.flows.eos import EosMaker

    return EosMaker()


def _bands() -> Any:
    from atomate2.vasp.flows.core import RelaxBandStructureMaker

    return RelaxBandStructureMaker()


FLOWS: Mapping[str, Callable[[], Any]] = {
    "DoubleRelax + Static": _double_relax_static,
    "MPGGADoubleRelaxStatic": _mp_gga,
    "MPMetaGGADoubleRelaxStatic": _mp_metagga,
    "Phonon": lambda: _phonon(born=False),
    "Phonon with Born charges": lambda: _phonon(born=True),
    "Elastic": _elastic,
    "EOS": _eos,
    "RelaxBandStructure": _bands,
}


def strained() -> Structure:
    """L1₀ CuAu, nearly relaxed with Lennard-Jones."""
    return Structure(Lattice.tetragonal(2.36, 3.34), ["Cu", "Au"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def run_flow(name: str, folder: Path) -> dict[str, Any]:
    """Run one flow; which jobs asked VASP, whether all finished, and the seconds it took."""
    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore

    flow = FLOWS[name]().make(strained())
    flow.update_maker_kwargs(_PROMPT, dict_mod=True)
    folder.mkdir(parents=True, exist_ok=True)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    started = time.monotonic()
    responses = run_locally(
        flow, log=False, store=store, create_folders=True, root_dir=folder, raise_immediately=True
    )
    outputs = [one.output for found in responses.values() for one in found.values()]
    runs = [output for output in outputs if getattr(output, "vasp_version", None)]
    return {
        "flow": name,
        "VASP runs": len(runs),
        "successful": sum(run.state == "successful" for run in runs),
        "task types": ", ".join(sorted({str(run.task_type) for run in runs})),
        "answers": _answer(outputs),
        "seconds": round(time.monotonic() - started, 1),
    }


def _answer(outputs: list[Any]) -> str:
    """The figure a flow is run for."""
    last = outputs[-1]
    if getattr(last, "phonon_bandstructure", None) is not None:
        frequencies = np.array(last.phonon_bandstructure.bands)
        return f"frequencies {frequencies.min():.2f} to {frequencies.max():.2f} THz"
    if getattr(last, "derived_properties", None) is not None:
        return f"bulk modulus {last.derived_properties.k_vrh:.0f} GPa"
    if isinstance(last, dict) and "relax" in last:
        fits = last["relax"].get("EOS", {})
        return f"bulk modulus {fits['vinet']['b0 GPa']:.0f} GPa" if "vinet" in fits else "equation of state"
    return f"{last.output.energy:.4f} eV, gap {last.output.bandgap:.1f} eV"
