"""What the pages share: navigation, resources, charts, address state, banner, empty states, errors."""
