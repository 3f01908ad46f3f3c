"""How the pages look, in light and in dark: contrast of at least 4.5 to 1 everywhere."""

from typing import Final

_DARK: Final = """
  --back: #14181d; --card: #1c232b; --text: #e8edf2; --soft: #b3bfcb; --line: #3b4652; --link: #8fc3ff;
  --good: #7fdd9a; --warn: #ffcf70; --bad: #ff9d94; --bar: #0e2a44; --act: #1f5fa8;
"""

COLOURS: Final = f"""
:root {{
  --back: #f6f8fa; --card: #ffffff; --text: #1a2129; --soft: #4a5663; --line: #c8d0d9; --link: #0b4f9c;
  --good: #0f6b2f; --warn: #7a4a00; --bad: #a3170b; --bar: #12304f; --act: #1f5fa8;
}}
body.body--dark {{ {_DARK} }}
@media (prefers-color-scheme: dark) {{ body.sign-in {{ {_DARK} }} }}
"""

FORM: Final = """
body.sign-in { background: var(--back); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; margin: 0; }
.sign-in main { max-width: 26rem; margin: 12vh auto 0; padding: 0 1rem; }
.sign-in h1 { font-size: 1.4rem; }
.sign-in label, .sign-in input, .sign-in button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
.sign-in input { padding: .6rem; margin: .3rem 0 1rem; border: 1px solid var(--soft); border-radius: .3rem;
  background: var(--card); color: var(--text); }
.sign-in button { padding: .6rem; border: 0; border-radius: .3rem; background: var(--act); color: #fff; }
.sign-in p { color: var(--soft); font-size: .9rem; }
.sign-in a { color: var(--link); }
.sign-in #refused { color: var(--bad); font-size: 1rem; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
"""

PAGE: Final = """
body, body.body--dark { background: var(--back); color: var(--text); }
.q-header { background: var(--bar) !important; color: #fff; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem; width: 100%; }
.bar .name { font-weight: 600; margin-right: .5rem; }
.bar nav { display: flex; flex-wrap: wrap; gap: .15rem; flex: 1; }
.bar nav a { color: #fff; padding: .3rem .6rem; border-radius: .3rem; text-decoration: none; }
.bar nav a:hover, .bar nav a[aria-current] { background: #ffffff2e; text-decoration: underline; }
.skip { position: absolute; left: -9999px; }
.skip:focus { position: static; color: #fff; }
main .nicegui-content, .nicegui-content { max-width: 90rem; margin: 0 auto; padding: 1rem; gap: 1rem; width: 100%; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0; font-weight: 600; }
h2 { font-size: 1.05rem; line-height: 1.4; margin: 0; font-weight: 600; }
a { color: var(--link); }
.soft { color: var(--soft); }
.card, .q-card, .q-dialog .q-card { background: var(--card); color: var(--text); border: 1px solid var(--line);
  border-radius: .4rem; padding: .8rem 1rem; box-shadow: none; }
.verdict { width: 100%; border-left: .5rem solid var(--good); }
.verdict.wrong { border-left-color: var(--bad); }
.verdict p { margin: .2rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; width: 100%; }
.tiles p { margin: .2rem 0 0; }
.tiles .number { font-size: 1.5rem; line-height: 1.4; }
.q-field { min-width: 17rem; }
.row-of { display: flex; flex-wrap: wrap; gap: .8rem; align-items: center; width: 100%; }
.q-table__card, .q-table__card.q-table--dark { background: var(--card); color: var(--text); width: 100%;
  box-shadow: none; border: 1px solid var(--line); }
.q-table th { font-size: .85rem; color: var(--soft); opacity: 1; }
.q-table td { font-size: .9rem; }
.q-table tbody td { white-space: normal; overflow-wrap: break-word; }
.q-table tbody td.short { white-space: nowrap; }
.OK, .DELIVERED, .CLOSED { color: var(--good); font-weight: 600; }
.WARN, .PAUSED, .HALF_OPEN { color: var(--warn); font-weight: 600; }
.STALLED, .STOPPED, .OPEN, .OFF { color: var(--bad); font-weight: 600; }
.q-btn { min-height: 2rem; }
.q-btn.act { background: var(--act) !important; color: #fff !important; }
.q-btn.plain { background: transparent !important; color: var(--text) !important; border: 1px solid var(--soft); }
.bar .q-btn.plain { color: #fff !important; border-color: #ffffff80; }
.q-field__label, .q-field__native, .q-field__input, .q-field__append { color: var(--text) !important; }
.q-toggle__label { color: var(--text); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 60vh; overflow: auto; margin: 0; font-size: .85rem; }
:focus-visible, .q-btn:focus-visible, a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.bar :focus-visible { outline-color: #fff; }
.q-loading-bar { display: none; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; } }
"""
