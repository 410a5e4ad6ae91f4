from __future__ import annotations

import json
import re
from datetime import datetime, timezone

import make_records as make
import pytest
from refusals import assert_mentions
from site_pages import Page, check_site

from posebench.records.store import load, save
from posebench.site.figures import KINDS, legend, static_figure
from posebench.site.models import matrix
from posebench.site.pages import collect, front_page, page, write_site
from posebench.site.points import points
from posebench.types.errors import UserError
from posebench.types.record import ProtocolScores


def front(*records) -> str:
    return front_page(collect(records))


def of_model(*records, **more) -> str:
    (model,) = collect(records, **more).models
    return page("model.html.j2", model=model, up="../")


def test_the_site_is_whole_and_needs_no_network(tmp_path):
    records = [*make.demo(), *make.speeds(6)]
    index = write_site(records, tmp_path / "demo")

    # the front page, nine models, and a page for each zoo
    assert check_site(index.parent) == 1 + 9 + len(list((index.parent / "zoos").iterdir()))
    for file in ("index.html", "site.css", "site.js", "figure.js"):
        text = (index.parent / file).read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), file
    assert "Plotly" in (index.parent / "plotly.min.js").read_text()[:100_000]
    assert (index.parent / "accuracy_speed_light.png").read_bytes()[:4] == b"\x89PNG"
    assert (index.parent / "accuracy_speed_light.pdf").read_bytes()[:4] == b"%PDF"
    copies = sorted((index.parent / "records").rglob("*.json"))
    assert len(copies) == 12
    assert load(copies[0]) in records


def test_the_table_shows_what_was_claimed_and_measured():
    reader = Page(front(make.evaluation(measured=67.224, verdict="differs")))
    for words in ("AP 61.23", "67.22", "64.7 to 69.5", "+5.99", "differs", "1,040", "100 %"):
        assert words in reader.text
    assert_mentions(reader.text, "truth boxes", "flip shifted")


def test_a_subset_is_marked_everywhere():
    part = make.evaluation(verdict="outside the interval (n=68)", complete=False)
    assert '<tr class="subset"' not in front(make.evaluation())
    html = front(part, make.timing())
    assert '<tr class="subset"' in html
    table = html.partition('id="claims-table"')[2].partition("</table>")[0]
    assert "badge neutral" in table
    assert "badge good" not in table and "badge bad" not in table
    assert "A subset: 20 images with 68 persons that count" in table
    assert "Not the whole dataset." in of_model(part)
    assert "Not the whole dataset." not in of_model(make.evaluation())
    svg = static_figure(points([part, make.timing()]), "light")["svg"].decode()
    assert "demo_s (subset, n=68)" in svg
    assert ">a part of the dataset<" in svg


def test_what_was_not_measured_is_a_dash_not_nan():
    html = front(make.evaluation(measured=None, verdict="no claim"))
    assert "nan" not in html.casefold()
    assert re.search(r'data-label="Measured"><span>\u2013<', html)


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_everything_a_record_says_is_escaped(tmp_path):
    timed = make.timing().timings.model_copy(update={"device": f"</script>{EVIL}", "form": EVIL})
    row = make.entry("demo_s", (make.claim(),), title=EVIL, licence=EVIL, note=EVIL)
    row = row.model_copy(update={"homepage": "javascript:x()"})  # no record can hold it
    odd = make.evaluation(
        entry=row,
        command=f"posebench {EVIL}",
        verdict=EVIL,
        environment=make.environment(platform=EVIL),
        timings=timed,
        notes=(EVIL,),
        failure=EVIL,
        dataset=make.dataset().model_copy(update={"id": EVIL}),
        scores={"AP": 61.23, EVIL: 5.0, f"{EVIL}/AP": 4.0, f"similarity/{EVIL}": 3.0},
    )
    index = write_site([odd], tmp_path)
    for path in index.parent.rglob("*.html"):
        html = path.read_text()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "javascript:" not in html
    # its own two, and the points
    assert Page(index.read_text()).tags.count("script") == 3
    figure = re.search(r'id="figure-data">(.*?)</script>', index.read_text(), re.DOTALL)
    assert EVIL in json.loads(figure[1])["points"][0]["hardware"]


def test_a_record_stays_inside_the_folder(tmp_path):
    odd = make.evaluation(dataset=make.dataset().model_copy(update={"id": "../../x"}))
    index = write_site([odd], tmp_path / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    check_site(index.parent)


def test_the_copies_have_the_bytes_of_the_stored_records(tmp_path):
    stored = save(make.evaluation(), tmp_path / "records").read_bytes()
    write_site([load(next((tmp_path / "records").rglob("*.json")))], tmp_path)
    (copy,) = (tmp_path / "records").rglob("*.json")
    assert copy.read_bytes() == stored


def test_without_timings_or_records_the_page_says_so():
    html = front(make.evaluation())
    assert_mentions(html, "both an accuracy and a timing")
    assert "figure.js" not in html
    empty = front()
    assert_mentions(empty, "no published claim")
    assert "There are no records yet." in empty
    Page(empty)


def test_drawing_again_gives_the_same_bytes():
    found = points(make.demo())
    first, again, light = (static_figure(found, theme) for theme in ("dark", "dark", "light"))
    assert tuple(first) == KINDS
    for kind in KINDS:
        assert first[kind] == again[kind] != light[kind]


def test_the_static_figure_names_models_and_draws_claims_and_frontier():
    found = points([*make.demo(), make.timing("other", 300.0)])
    svg = static_figure(found, "light", ("svg",))["svg"].decode()
    for point in found:
        assert f">{point.name}<" in svg
    assert ">as claimed, not measured<" in svg
    assert ">best of the measured<" in svg
    odd = make.evaluation(timings=make.timing().timings, entry=make.entry("x", (make.claim(),)))
    assert b"<svg" in static_figure(points([odd]), "light", ("svg",))["svg"]


def test_the_largest_model_has_the_largest_marker_and_signs_stay_the_same():
    found = points([*make.demo(), *make.speeds(16)])
    signs = legend(found)
    by_size = sorted(found, key=lambda p: p.parameters)
    diameters = [signs.diameter(p) for p in by_size]
    assert diameters == sorted(diameters)
    assert diameters[-1] == 22
    assert len(set(signs.colours.values())) == 5
    assert len(set(signs.shapes.values())) == 3


# --- model pages ---------------------------------------------------------------------------------


def test_the_page_of_a_model_says_the_record_in_words():
    scores = {"AP": 61.23, "APM": 60.0, "APL": 65.0, "similarity/nose": 81.5}
    html = of_model(make.evaluation(scores=scores, notes=("boxes were guessed",)), make.timing())
    text = " ".join(Page(html).text.split())
    for words in (
        "AP 61.23 measured (58.7 to 63.5 with 95 % confidence), 61.23 claimed: reproduced.",
        "Timed at 900 persons/s on cpu, batch 64, plain network.",
        "gt: 1,100 read, 1,040 used, 1,000 kept",
        "100 % loaded, x.safetensors (SHA-256 efefefefefef…)",
        "pycocotools 2.0.11",
        "boxes were guessed",
        "posebench eval --model demo_s --dataset synthetic",
        "By keypoint",
        "nose81.5",
        "medium60.0",
        "0.06 million",
        "Linux x86_64, cpu, batch 64",
    ):
        assert words in text, words
    assert 'style="width:81.5%"' in html


def test_parts_of_the_body_are_rows():
    found = matrix(
        {"body/AP": 60.0, "body/AR": None, "face/AP": 20.0, "similarity/nose": 3.0},
        {"body/AP": (58.0, 62.0)},
    )
    assert found.columns == ("AP", "AR")
    (body, cells), (face, others) = found.rows
    assert (body, face) == ("body", "face")
    assert (cells[0].value, cells[0].interval, cells[1].value) == (60.0, (58.0, 62.0), None)
    assert others[1] is None
    pckh = matrix({"PCKh@0.5": 88.0, "PCKh@0.5/head": 97.0, "PCKh@0.1": 30.0}, {})
    assert pckh.columns == ("all", "head")
    assert [name for name, _ in pckh.rows] == ["PCKh@0.5", "PCKh@0.1"]


def test_the_official_scorer_stands_beside_another_one():
    other = make.protocol("official")
    beside = ProtocolScores(
        protocol=other,
        protocol_hash=other.hash,
        scores={"AP": 59.99},
        intervals={},
        scorer="theirs",
    )
    text = Page(of_model(make.evaluation(official_scores=(beside,)))).text
    assert "59.99" in text
    assert "The same predictions by theirs" in text


def test_earlier_records_of_the_same_kind_are_history():
    older, newer = make.evaluation(measured=60.5), make.evaluation(measured=61.23, minute=7)
    assert "Over time" not in of_model(newer)
    html = of_model(newer, older, newer)  # found twice, measured once
    assert "AP: 2 measurements, 60.5 first, 61.23 last" in html
    assert html.count("<h2>synthetic under") == 1

    later = datetime(2025, 2, 1, tzinfo=timezone.utc)
    rates = of_model(make.timing(), make.timing("demo_s", 950.0, created=later))
    assert "persons/s: 2 measurements, 900 first, 950 last" in rates


def test_a_failed_timing_says_why_and_a_doubtful_one_warns():
    assert (
        "out of memory" in Page(of_model(make.timing(timings=None, failure="out of memory"))).text
    )
    doubtful = make.timing().timings.model_copy(update={"flags": ("the machine was busy",)})
    html = of_model(make.timing(timings=doubtful))
    assert "Not to be quoted." in html
    assert_mentions(html, "network alone", "the machine was busy")


def test_an_output_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_site(make.demo(), tmp_path / "file" / "site")
