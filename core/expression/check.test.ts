import { describe, expect, it } from 'vitest';
import type { Json } from '#schemas/json.ts';
import { checkTemplate } from './check.ts';
import { intType, objectOf, type StaticType, stringType, typeFromSchema } from './static-type.ts';
import { parseTemplate } from './template.ts';

const input = typeFromSchema({
  type: 'object',
  properties: {
    count: { type: 'integer' },
    ratio: { type: 'number' },
    name: { type: 'string' },
    maybe: { type: ['string', 'null'] },
    mixed: { anyOf: [{ type: 'string' }, { type: 'integer' }] },
    flag: { type: 'boolean' },
    colour: { enum: ['red', 'blue'] },
    people: { type: 'array', items: { $ref: '#/$defs/person' } },
    anything: {},
    open: { type: 'object', properties: { known: { type: 'integer' } }, additionalProperties: true },
    table: { type: 'object', additionalProperties: { type: 'integer' } },
  },
  $defs: {
    person: {
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer' }, friends: { type: 'array', items: { $ref: '#/$defs/person' } } },
    },
  },
});

const variables = new Map<string, StaticType>([
  ['input', input],
  ['steps', objectOf({ read: objectOf({ status: stringType, output: intType, error: stringType }) })],
]);

const check = (source: Json) => checkTemplate(parseTemplate(source), { variables, absent: new Map([['item', 'item is not here']]) });

describe('static checks', () => {
  it.each([
    'input.count + input.ratio * 2',
    'input.mixed + "x"',
    'input.maybe == null ? "none" : input.maybe',
    'input.colour == "red"',
    'input.people.map(p, p.friends.map(f, f.age + 1))',
    'input.people.filter(p, p.age > 3 && p.name.startsWith("a")).size() > 0',
    'input.anything.deeply[3].nested + 1',
    'input.open.known + input.open.unknown',
    'input.table["a"] + input.table.b',
    'sortBy(input.people, "age")[0].name + "x"',
    'groupBy(input.people, "name")["a"][0].age + 1',
    'keys(input.table).join(",")',
    'flatten(input.people.map(p, p.friends))[0].age + 1',
    'has(input.maybe) && input.flag',
    'input.?maybe.orValue("x") + "y"',
    'cel.bind(p, input.people[0], p.age + 1)',
    'timestamp("2031-01-01T00:00:00Z") < timestamp("2032-01-01T00:00:00Z")',
    'input.count in [1, 2] || "a" in input.table',
    'input.people.exists(p, p.name == "a")',
    'size(input.name) + size(input.people) + size(input.table)',
    'input.people + [input.people[0]]',
    'steps.read.output + 1',
    '{"a": input.count}.a + 1',
  ])('finds nothing wrong in ${%s}', (source) => {
    expect(check(`\${${source}}`).faults).toEqual([]);
  });

  it.each<[string, string, string | undefined]>([
    ['input.cout', 'input has no field "cout"', 'did you mean "count"?'],
    ['input.people[0].nme', 'input.people[0] has no field "nme"', 'did you mean "name"?'],
    ['input.people.map(p, p.agee)', 'p has no field "agee"', 'did you mean "age"?'],
    [
      'input.people.name',
      'input.people is a list of object and has no field "name"',
      'take one element, as in input.people[0].name, or all: input.people.map(x, x.name)',
    ],
    ['inpt.count', 'nothing is named "inpt" here', 'did you mean "input"?'],
    ['item', 'item is not here', undefined],
    ['input.count + "x"', 'an integer + text does not exist', 'turn the other side into text with string(…)'],
    ['input.flag + 1', 'a boolean + an integer does not exist', undefined],
    ['!input.name', '! negates a boolean, and this is text', undefined],
    ['input.count && true', '&& joins booleans, and this is an integer', undefined],
    ['input.name ? 1 : 2', 'the condition before ? is a boolean, and this is text', undefined],
    ['input.count < "3"', 'an integer < text cannot be compared', undefined],
    ['input.count == "3"', 'an integer is compared with text: they are never equal', undefined],
    ['sizee(input.name)', 'there is no function "sizee"', 'did you mean "size"?'],
    ['input.name.upper()', 'there is no method "upper"', undefined],
    ['input.people.sort()', 'there is no method "sort"', 'write it as a function: sort(input.people)'],
    ['startsWith(input.name, "a")', 'there is no function "startsWith"', 'write it behind its value, as in x.startsWith(…)'],
    ['join(input.name)', 'join(text) does not exist', 'it is join(list): string or join(list, string): string'],
    ['input.people.filter(p, p.age)', 'filter(…) asks for a boolean, and this is an integer', undefined],
    ['input.count.map(x, x)', 'an integer has no elements to go through', undefined],
    ['input.people["a"].age', 'input.people is a list of object and has no field "a"', undefined],
    ['1 in input.count', 'in looks into a list or an object, and this is an integer', undefined],
    ['input.ratio % 2.0', '% works on integers', undefined],
    ['true ? 1 : "a"', "ternary branches must have the same type, got 'int' and 'string'", undefined],
  ])('${%s}: %s', (source, message, suggestion) => {
    const [fault] = check(`\${${source}}`).faults;
    expect(fault?.message).toBe(message);
    if (suggestion !== undefined) expect(fault?.suggestion).toBe(suggestion);
  });

  it('says where in the expression', () => {
    const [fault] = check({ a: 'x ${1 + input.cout}' }).faults;
    expect(fault).toMatchObject({ pointer: '/a', source: '1 + input.cout', offset: 4, start: 4, end: 14 });
  });

  it('finds the type of the whole', () => {
    expect(check({ a: '${input.count}', b: ['${input.name}'], c: 'x${input.count}' }).type).toEqual({
      kind: 'object',
      rest: null,
      fields: new Map<string, StaticType>([
        ['a', { kind: 'int' }],
        ['b', { kind: 'list', element: { kind: 'string' } }],
        ['c', { kind: 'string' }],
      ]),
    });
  });
});
