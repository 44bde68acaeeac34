"""A tiny release in the format of the files, made up for tests."""

from __future__ import annotations

from pathlib import Path

GENES = ("A", "C", "B", "DRB1", "DQB1", "DPB1")
HEADER = "# file: {name}\n# date: 2026-01-01\n# version: IPD-IMGT/HLA {release}\n# author: test\n"


def release_texts(release: str = "9.1.0") -> dict[str, str]:
    """Each gene has 01:01:01:01, 01:01:01:02N and 01:02; all in one P and one G group but 01:02."""
    names = [f"{g}*{rest}" for g in GENES for rest in ("01:01:01:01", "01:01:01:02N", "01:02")]
    nom = [f"{n.split('*')[0]}*;{n.split('*')[1]};20200101;;;" for n in names]
    nom += [
        "A*;01:03;20200101;20210101;01:02;Sequence identical",
        "A;1;19680101;;;",
        "B;21;19680101;;;",
    ]
    bodies = {
        "wmda/hla_nom.txt": nom,
        "wmda/hla_nom_g.txt": [
            line
            for g in GENES
            for line in (f"{g}*;01:01:01:01/01:01:01:02N;01:01:01G", f"{g}*;01:02;")
        ],
        "wmda/hla_nom_p.txt": [
            line for g in GENES for line in (f"{g}*;01:01:01:01;01:01P", f"{g}*;01:02;")
        ],
        "wmda/rel_dna_ser.txt": [f"{n.replace('*', '*;')};1;;;" for n in names],
        "wmda/rel_ser_ser.txt": ["B;21;49/50;4005"],
        "tce/dpb_tce.csv": [
            "Allele,Protein,V1_Assignment,V2_Assignment,Comments",
            "DPB1*01:01:01:01,DPB1*01:01,3,2a$,",
            "DPB1*01:02,DPB1*01:02,,3,",
        ],
        "Allelelist.txt": ["AlleleID,Allele", *(f"HLA{i:05d},{n}" for i, n in enumerate(names))],
        "Allele_status.txt": [
            "Allele,Cells,Groups,Confirmed,Start,End,Partial,Type",
            *(f"{n},1,1,Confirmed,1,1098,Full,gDNA" for n in names),
        ],
    }
    return {
        name: HEADER.format(name=name, release=release) + "\n".join(lines) + "\n"
        for name, lines in bodies.items()
    }


def write_release(folder: Path, texts: dict[str, str]) -> Path:
    """The files of a release below a folder."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
