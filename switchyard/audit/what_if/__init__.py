"""What a past case would have come to with another model, prompt, rule pack or playbook. Nothing has an effect."""
