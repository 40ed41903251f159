/** Names and values of a query as it stands in a request line, decoded. @throws URIError */
export function readQuery(query: string): Record<string, string[]> {
  const found = new Map<string, string[]>();
  for (const parameter of parameters(query)) {
    const [name = '', ...value] = parameter.split('=');
    const key = decodeURIComponent(name);
    found.set(key, [...(found.get(key) ?? []), decodeURIComponent(value.join('='))]);
  }
  return Object.fromEntries(found);
}

/** The query without the parameters of these names, the others byte for byte. @throws URIError */
export function withoutParameters(query: string, names: ReadonlySet<string>): string {
  return parameters(query)
    .filter((parameter) => !names.has(decodeURIComponent(parameter.split('=')[0] ?? '')))
    .join('&');
}

function parameters(query: string): string[] {
  return query.split('&').filter((parameter) => parameter !== '');
}
