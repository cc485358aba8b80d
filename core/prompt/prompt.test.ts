import { describe, expect, it } from 'vitest';
import { checkPrompt } from './check.ts';
import { renderPrompt } from './render.ts';
import { parsePrompt } from './syntax.ts';

describe('rendering', () => {
  it('fills in values, loops and filters', () => {
    const template = 'Hi {{ user.name }}{% for tag in tags %} [{{ loop.index }}:{{ tag | upper }}]{% endfor %} {{ data | tojson }}';
    expect(renderPrompt(template, { user: { name: 'Ada' }, tags: ['a', 'b'], data: { x: [1, null] } })).toBe('Hi Ada [1:A] [2:B] {"x": [1, null]}');
  });

  it('takes data as data: what stands in a value is not rendered again', () => {
    expect(renderPrompt('{{ text }}', { text: '{{ secret }} ${input.x}' })).toBe('{{ secret }} ${input.x}');
  });

  it.each<[string, RegExp]>([
    ['{{ missing_function() }}', /could not be rendered/],
    ['{% for a in range(1000000) %}{% endfor %}', /1000000 elements, 100000 are allowed/],
    ['{{ raise_exception("no data") }}', /no data/],
    ['{{ unclosed', /cannot be parsed/],
  ])('%s fails', (template, message) => {
    expect(() => renderPrompt(template, {})).toThrow(expect.objectContaining({ code: 'prompt_failed', message: expect.stringMatching(message) as string }));
  });

  it('bounds what comes out', () => {
    expect(() => renderPrompt('{{ a }}{{ a }}', { a: 'x'.repeat(60) }, 100)).toThrow(expect.objectContaining({ code: 'prompt_failed' }));
  });

  it('has no way to the clock or to the engine', () => {
    expect(() => renderPrompt('{{ strftime_now("%Y") }}', {})).toThrow(expect.objectContaining({ code: 'prompt_failed' }));
    expect(renderPrompt('{{ a.constructor }}|{{ a.__proto__ }}', { a: { b: 1 } })).toBe('|');
  });
});

describe('checking', () => {
  it.each([
    '{{ cluster.template }} {{ cluster["x"] }}',
    '{% for a, b in cluster.items() if a %}{{ loop.index }} {{ b | default("x") }}{% else %}none{% endfor %}',
    '{% set total = cluster | length %}{{ total }}',
    '{% macro line(text, width=4) %}{{ text | indent(width) }}{% endmacro %}{{ line("a", width=2) }}',
    '{% if cluster is defined and cluster.a is not none %}{{ cluster | tojson(indent=2) }}{% endif %}',
    '{{ range(3) | join(", ") }}',
    'A shell says ${HOME} and ${1 + 1}',
  ])('finds nothing wrong in %s', (template) => {
    expect(checkPrompt(template, ['cluster'])).toEqual([]);
  });

  it.each([
    ['{{ clustr }}', 'the template uses "clustr", which `with` does not give it', 'did you mean "cluster"?'],
    ['{{ cluster[i] }}', 'the template uses "i", which `with` does not give it', 'add it: with: { i: … }'],
    ['{{ cluster | uper }}', 'there is no filter "uper"', 'did you mean "upper"?'],
    ['{{ cluster', 'the template cannot be parsed: Unexpected end of input', undefined],
    ['Explain ${item.text}', '${item.text} is not evaluated in a prompt', 'give it by name: with: { text: "${item.text}" }, and write {{ text }}'],
  ])('%s', (template, message, suggestion) => {
    expect(checkPrompt(template, ['cluster'])[0]).toMatchObject({ message, suggestion });
  });

  it('refuses names with a meaning of their own', () => {
    expect(checkPrompt('{{ loop }}', ['loop'])).toMatchObject([{ message: '"loop" has a meaning of its own in templates' }]);
  });

  it('tells templates of bounded cost from others', () => {
    const isBounded = (text: string): boolean => {
      const parsed = parsePrompt(text);
      return parsed.ok && Number.isFinite(parsed.prompt.copies);
    };
    expect(isBounded('{{ a.b | upper }}{% if c %}x{% endif %}')).toBe(true);
    expect(['{% for a in b %}{% endfor %}', '{{ range(9) }}', '{% set a = a ~ a %}', '{{ a | indent(99999999) }}'].map(isBounded)).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});
