"""What Jinja2, set up as transformers sets it up, makes of small templates: the truth for our own filters,
string methods and Python-style printing. An error is recorded as null: it must be an error for us too.
usage: jinja_cases.py FIXTURES    # writes chat/jinja_cases.json; needs transformers (requirements-frozen.txt)"""
import json, sys
from transformers.utils.chat_template_utils import _compile_jinja_template

V = dict(
    s="  Hello, Wörld!\n", t="a,b,,c", w=" one  two\tthree ", e="", u="ÉCOLE straße ﬁ", q="it's \"q\" \\ \n\t\x07é\u200b😀",
    i=42, n=-7, f=1.5, big=1e20, tiny=1e-7, whole=3.0, zero=-0.0, yes=True, no=False, none=None,
    l=[1, "é", True, None, 2.5, [], {}], d={"b": 1, "a": [1, {"x": "<&>'\""}], "é": None}, lines="a\nb\r\nc\x0bd\x1ce\u2028f\n\n",
    m=[{"role": "user", "content": "x"}, {"role": "tool", "content": "y"}, {"role": "user", "content": "z"}],
    names={"type": 1, "_x": 2, "tyre": 3, "Type2": 4, "étude": 5, "a1": 6}, tabs="\x1c\x1f x \x1d\u3000")
T = [
 # printing
 "{{ i }} {{ n }} {{ f }} {{ big }} {{ tiny }} {{ whole }} {{ zero }} {{ yes }} {{ no }} {{ none }} {{ missing }}|",
 "{{ l }}", "{{ d }}", "{{ [q] }}", "{{ q }}", "{{ (1,) }} {{ (1, 'a') }} {{ () }}", "{{ {'k': (1, 2)} }}",
 "{{ i|string }} {{ yes|string }} {{ none|string }} {{ big|string }} {{ l|string }} {{ missing|string }}|", "{{ 'a' ~ i ~ yes ~ none ~ 'b' }}",
 # tojson
 "{{ l|tojson }}", "{{ d|tojson }}", "{{ q|tojson }}", "{{ d|tojson(indent=2) }}", "{{ l|tojson(indent=4) }}", "{{ d|tojson(sort_keys=true) }}",
 "{{ d|tojson(separators=(',', ':')) }}", "{{ q|tojson(ensure_ascii=true) }}", "{{ []|tojson(indent=2) }}{{ {}|tojson(indent=2) }}", "{{ [big, tiny, zero, whole, i, n]|tojson }}",
 "{{ {1: 'a', 2: {'b': none}}|tojson }}", "{{ missing|tojson }}", "{{ d|tojson(indent='\\t') }}", "{{ '\\u2028\\x7f</script>'|tojson }}",
 # string methods
 "[{{ s.strip() }}] [{{ s.lstrip() }}] [{{ s.rstrip() }}] [{{ tabs.strip() }}] [{{ tabs|trim }}] [{{ s.strip(' \\n!') }}] [{{ 'xxaxx'.lstrip('x') }}] [{{ 'xxaxx'.rstrip('x') }}]",
 "{{ t.split(',') }} {{ t.split(',', 1) }} {{ t.rsplit(',', 1) }} {{ w.split() }} {{ w.split(none, 1) }} {{ w.rsplit(none, 1) }} {{ e.split() }} {{ e.split(',') }} {{ 'aXbXc'.split('X')[-1] }}",
 "{{ 'aaa'.split('aa') }} {{ 'aaa'.rsplit('aa') }} {{ 'aaaa'.rsplit('aa', 1) }} {{ 'a'.split('') }}", "{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ ''.splitlines() }} {{ 'a'.splitlines() }}",
 "{{ t.replace(',', ';') }} {{ t.replace(',', ';', 1) }} {{ 'ab'.replace('', '-') }} {{ 'ab'.replace('', '-', 2) }} {{ t.replace('x', 'y') }} {{ 'aaa'.replace('aa', 'b') }}",
 "{{ u.upper() }} {{ u.lower() }} {{ 'hELLO wORLD'.capitalize() }} {{ \"hello wORLD x1y it's\".title() }}", "{{ 'HELLO'|lower }} {{ 'hello'|upper }} {{ 'hELLO'|capitalize }}",
 "{{ 'abc'.startswith('ab') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith('bc') }} {{ 'abc'.endswith(('x', 'y')) }} {{ ''.startswith('') }}",
 "{{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('x') }} {{ 'aéc'.find('c') }} {{ 'abcabc'.count('bc') }}", "{{ 'abc'.removeprefix('ab') }} {{ 'abc'.removesuffix('bc') }} {{ 'abc'.removeprefix('x') }}",
 "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ' '.isspace() }} {{ ''.isdigit() }}", "{{ ', '.join(['a', 'b']) }} {{ ['a', 1, none]|join('-') }}",
 "{{ '{}-{}'.format('a', 2) }} {{ '%s'|format('x') }}", "{{ '%s=%d' % ('a', 3) }}", "{{ 'a' ~ f ~ l[:1] }}", "{{ 'a' ~ big ~ l[:2] }}", "{{ 'abc'[1] }} {{ 'abc'[-1] }} {{ 'abcdef'[1:4] }} {{ 'abc'[::-1] }} {{ 'é𠮷x'[1] }}",
 # filters
 "{{ s|trim }}|{{ s|length }} {{ l|length }} {{ d|length }} {{ 'xax'|trim('x') }}", "{{ 'a b'|replace('a', 'c') }} {{ 12|replace('1', 'x') }} {{ none|trim }}",
 "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}", "{% for k, v in missing|items %}x{% endfor %}ok", "{% for k, v in 'text'|items %}x{% endfor %}", "{% for k, v in l|items %}x{% endfor %}", "{% for k, v in none|items %}x{% endfor %}",
 "{% for k, v in d.items() %}{{ k }}{% endfor %} {{ d.keys()|list }} {{ d.values()|list }} {{ d.get('b') }} {{ d.get('z') }} {{ d.get('z', 5) }}", "{% for k, v in d|dictsort %}{{ k }};{% endfor %}",
 "{{ m|selectattr('role', 'equalto', 'user')|list|length }} {{ m|rejectattr('role', 'eq', 'user')|map(attribute='content')|join(',') }} {{ m|map(attribute='role')|unique|list }}",
 "{{ l|first }} {{ m|last }} {{ [3, 1, 2]|sort }} {{ [1, 2]|sum }} {{ missing|default('d') }} {{ none|default('d') }} {{ ''|default('d', true) }} {{ '5'|int + 1 }} {{ '1.5'|float }} {{ f|int }}", "{{ 'a\nb'|indent(2) }} {{ 'a\nb'|indent(2, true) }}",
 "{{ ['b', 'A', 'a', 'C']|sort }} {{ ['b', 'A', 'a']|sort(case_sensitive=true) }} {{ m|sort(attribute='content', reverse=true)|map(attribute='content')|list }} {{ m|sort(attribute='role')|map(attribute='content')|list }}",
 "{{ d|dictsort(reverse=true)|map('first')|list }} {{ {'b': 1, 'a': 2}|dictsort(by='value') }} {{ {'b': 1, 'A': 2, 'a': 3}|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(true) }} {{ [3, 1.5, 2]|sort }} {{ names|dictsort }} {{ names|sort }} {{ names|list|sort(reverse=true) }}",
 # tests
 "{{ s is string }} {{ i is string }} {{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ i is sequence }} {{ d is mapping }} {{ l is mapping }}",
 "{{ s is iterable }} {{ l is iterable }} {{ d is iterable }} {{ i is iterable }} {{ none is iterable }} {{ missing is iterable }}", "{{ none is none }} {{ missing is none }} {{ missing is defined }} {{ missing is undefined }} {{ none is defined }}",
 "{{ yes is boolean }} {{ i is boolean }} {{ i is number }} {{ yes is number }} {{ f is number }} {{ i is integer }} {{ yes is integer }} {{ f is float }} {{ whole is float }}", "{{ yes is true }} {{ no is false }} {{ 1 is true }} {{ i is odd }} {{ i is divisibleby 7 }} {{ 'a' is in ['a'] }}",
 "{{ 'a' in 'abc' }} {{ 'b' in d }} {{ 'z' not in d }} {{ 1 in l }} {{ 'é' in l }}", "{{ not missing }} {{ not e }} {{ not [] }} {{ not {} }} {{ not 0 }} {{ not 'x' }}",
 # statements and white space
 "{% for x in m %}\n  {%- if loop.first %}F{% endif %}\n{{ loop.index }}{{ x.role }}\n{% endfor %}\nend\n", "   {% if yes %}  \n  a\n   {% endif %}\n b", "{# c #}\nx\n{#- d -#}\n y", "a\n{%- set x = 1 -%}\n b{{ x }}\n",
 "{% for x in m %}{% if x.role == 'tool' %}{% continue %}{% endif %}{{ x.content }}{% if loop.index0 == 2 %}{% break %}{% endif %}{% endfor %}", "{% for x in m %}{{ loop.previtem.content if loop.previtem }}<{{ x.content }}>{{ loop.nextitem.content if loop.nextitem is defined }}{{ loop.last }}{{ loop.revindex }} {% endfor %}",
 "{% set ns = namespace(a=1) %}{% for x in m %}{% set ns.a = ns.a + 1 %}{% endfor %}{{ ns.a }}", "{% set x = 1 %}{% for y in m %}{% set x = 2 %}{% endfor %}{{ x }}", "{% macro f(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ f(1) }} {{ f(1, b=3) }}",
 "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in m[::-1] %}{{ x.content }}{% endfor %} {{ m[1:]|length }} {{ m[-1].content }} {{ m[0]['role'] }} {{ m|length - 1 }}", "{% set c %}  block {{ i }}{% endset %}[{{ c }}] [{{ c|trim }}]",
 "{{ 'y' if yes else 'n' }} {{ 'y' if no }}| {{ 1 // 2 }} {{ 7 % 3 }} {{ 2 ** 3 }} {{ 1 / 2 }} {{ 4 / 2 }} {{ -3 // 2 }}", "{% raw %}{{ x }}{% endraw %}", "{% for i in range(3) %}{{ i }}{% endfor %} {{ range(2)|list }}", "{% filter upper %}ab{% endfilter %}", "{% generation %}x{% endgeneration %}", "{% for x in m %} {%- generation -%} {{ x.content }} {%+ endgeneration %} {% endfor %}{{ '{% generation' }}",
 # errors
 "{{ raise_exception('no') }}", "{{ missing.attr }}", "{{ d.missing.attr }}", "{{ none.attr }}|", "{{ 1 + 'a' }}", "{{ nofunc() }}", "{{ 'a'.nomethod() }}", "{{ l|nofilter }}", "{% include 'x' %}", "{{ 1 / 0 }}", "{{ none|length }}", "{{ 'a' + 1 }}", "{{ [] + [1] }}", "{% for x in 5 %}{% endfor %}",
]
cases = []
for t in T:
    try: out = _compile_jinja_template(t).render(**V)
    except Exception as e:
        out = None; print(f"{t[:60]!r}: {type(e).__name__}: {e}")
    cases.append(dict(template=t, output=out))
json.dump(dict(variables=V, cases=cases), open(f"{sys.argv[1]}/chat/jinja_cases.json", "w"), ensure_ascii=False, indent=1)
print(len(cases))
