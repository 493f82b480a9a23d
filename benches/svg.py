"""Bar charts as SVG: a bar for the median, a line for the least and the most."""

from html import escape

WIDTH, LEFT, ROW, BAR, TOP = 720, 190, 34, 18, 54
# Reads on a light and on a dark page.
OURS, OTHERS, INK = "#2f81f7", "#8b949e", "#6e7781"


def bars(title, unit, rows, limit=None):
    """`rows`: (label, {"median", "least", "most"}, is_ours). `limit`: (value, label) drawn as a dashed line."""
    most = max([row[1]["most"] for row in rows] + ([limit[0]] if limit else [])) or 1
    scale = (WIDTH - LEFT - 110) / most
    height = TOP + ROW * len(rows) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img" aria-label="{escape(title, quote=True)}">',
        f'<text x="12" y="22" font-size="15" font-weight="600" fill="{INK}">{escape(title)}</text>',
        f'<text x="12" y="40" fill="{INK}">{escape(unit)}: median, and the range of all runs</text>',
    ]
    for index, (label, value, is_ours) in enumerate(rows):
        middle = TOP + ROW * index + ROW / 2
        color = OURS if is_ours else OTHERS
        least, most_x = LEFT + value["least"] * scale, LEFT + value["most"] * scale
        parts += [
            f'<text x="{LEFT - 10}" y="{middle + 4}" text-anchor="end" fill="{INK}">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{middle - BAR / 2}" width="{max(1, value["median"] * scale):.1f}" height="{BAR}" fill="{color}"/>',
            f'<path d="M{least:.1f} {middle}H{most_x:.1f}M{least:.1f} {middle - 5}v10M{most_x:.1f} {middle - 5}v10" stroke="{INK}" fill="none"/>',
            f'<text x="{most_x + 8:.1f}" y="{middle + 4}" fill="{INK}">{number(value["median"])}</text>',
        ]
    if limit:
        x = LEFT + limit[0] * scale
        parts.append(f'<path d="M{x:.1f} {TOP}V{height - 14}" stroke="#cf222e" stroke-dasharray="4 3"/>')
        parts.append(f'<text x="{x - 4:.1f}" y="{height - 3}" text-anchor="end" fill="#cf222e">{escape(limit[1])}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.4f}"
