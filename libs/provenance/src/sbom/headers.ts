/**
 * Fields of text as dpkg's status files and Python's METADATA have it: `Name: value`, up to the first empty line. Lines that
 * continue a field are left out: no field that is sought has any. Of a field that comes twice the first counts. Names are
 * lower case.
 */
export function headerFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line.trim() === '') break;
    const [, name = '', value = ''] = /^([A-Za-z][A-Za-z0-9-]*):(.*)$/.exec(line) ?? [];
    if (name !== '' && !fields.has(name.toLowerCase())) fields.set(name.toLowerCase(), value.trim());
  }
  return fields;
}
