"""The frame of the HTML report: ``string.Template`` texts, no figures.

Authors
 * The speechbrain-neuronprune authors 2026
"""

from string import Template

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f5f6f8; --card: #ffffff; --ink: #1f2328; --faint: #5d6673;
  --line: #e1e4e9; --good: #00744f; --bad: #b8400a; --accent: #0072b2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1014; --card: #171a20; --ink: #e6e9ee; --faint: #98a1ae;
    --line: #2b313a; --good: #3ccf9f; --bad: #ff9a6b; --accent: #56b4e9;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0 0.2rem;
     overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 0.6rem; }
p { margin: 0.4rem 0; }
.faint { color: var(--faint); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.card {
  background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: 1.1rem; margin: 1rem 0;
}
.facts {
  display: grid; gap: 0.8rem; margin: 1.2rem 0;
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
}
.facts .card { margin: 0; }
.facts b { display: block; font-size: 1.6rem; line-height: 1.2; }
.verdict { border-left: 5px solid var(--good); }
.verdict.off { border-left-color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%;
        font-variant-numeric: tabular-nums; }
th, td { padding: 0.45rem 0.6rem; text-align: right; white-space: nowrap;
         border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; }
thead th { color: var(--faint); }
th:first-child { text-align: left; padding-left: 0; white-space: normal; }
tbody tr:last-child > * { border-bottom: 0; }
td small { display: block; color: var(--faint); }
td small.good { color: var(--good); }
td small.bad { color: var(--bad); }
figure { margin: 0; }
figure img { display: block; width: 100%; max-width: 54rem; height: auto;
             margin: 0 auto; }
figcaption { color: var(--faint); font-size: 0.92rem; margin-top: 0.5rem; }
summary { cursor: pointer; font-weight: 600; }
details[open] summary { margin-bottom: 0.6rem; }
@media (max-width: 34rem) {
  body { font-size: 15px; }
  .card { padding: 0.8rem; }
  th, td { padding: 0.4rem 0.35rem; }
}
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<header>
<p class="faint">speechbrain-neuronprune</p>
<h1>$title</h1>
<p class="faint">$subtitle</p>
</header>
$content
<footer class="faint"><p>Every figure of this page is in figures.json beside
it.</p></footer>
</main>
</body>
</html>
""")

SECTION = Template("""<section class="card">
<h2>$title</h2>
$content
</section>
""")

FACT = Template("""<div class="card"><b>$value</b>
<span class="faint">$label</span></div>
""")

FACTS = Template('<div class="facts">\n$content</div>\n')

VERDICT = Template('<div class="card verdict $state"><p>$sentence</p></div>\n')

TABLE = Template("""<div class="scroll"><table>
<thead><tr>$head</tr></thead>
<tbody>
$body
</tbody>
</table></div>
""")

PLOT = Template("""<section class="card">
<h2>$title</h2>
<figure>
<picture>
<source media="(prefers-color-scheme: dark)"
 srcset="data:image/png;base64,$dark">
<img alt="$title" src="data:image/png;base64,$light">
</picture>
<figcaption>$caption</figcaption>
</figure>
</section>
""")

DETAILS = Template("""<details class="card">
<summary>$title</summary>
$content
</details>
""")
