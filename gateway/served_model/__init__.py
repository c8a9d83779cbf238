"""The beat classifier in service: installed from a signed bundle, tried, replaced, rolled back."""
